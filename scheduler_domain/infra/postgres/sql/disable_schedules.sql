-- disable_schedules: nothing more is planned until somebody edits: the target said that it is gone for good (410), or the
-- rule can no longer be planned.
-- An edit since (another revision) keeps them alive: it may have mended just that. A pause is over, and with it when it
-- would have ended; the instant it began stays, since a resume that catches up plans from there.
WITH disabled AS (
  UPDATE schedule AS s
  SET state = 'DISABLED', state_reason = o.reason, resume_at = NULL, version = s.version + 1, updated_at = now()
  FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::text[]) AS o (tenant_id, schedule_id, revision, reason)
  WHERE s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.revision = o.revision AND s.state <> 'DISABLED'
  RETURNING s.tenant_id, s.id
)
UPDATE schedule_cursor AS c
SET next_fire_at = NULL
FROM disabled
WHERE c.tenant_id = disabled.tenant_id AND c.schedule_id = disabled.id
