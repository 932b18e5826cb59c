-- disable_schedules: the target said it is gone for good (410); nothing more is planned until somebody edits.
WITH disabled AS (
  UPDATE schedule AS s
  SET state = 'DISABLED', state_reason = o.reason, version = s.version + 1, updated_at = now()
  FROM unnest($1::text[], $2::uuid[], $3::text[]) AS o (tenant_id, schedule_id, reason)
  WHERE s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.state <> 'DISABLED'
  RETURNING s.tenant_id, s.id
)
UPDATE schedule_cursor AS c
SET next_fire_at = NULL
FROM disabled
WHERE c.tenant_id = disabled.tenant_id AND c.schedule_id = disabled.id
