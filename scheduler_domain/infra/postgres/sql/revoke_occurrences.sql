-- revoke_occurrences: tell dispatchers, with the commit, to let go of what they hold of a schedule, or of one occurrence
-- of it ($3). Who held it ($4) and until when at most ($5) stays readable for whoever has to wait for that
-- (revocation_pending).
WITH revoked AS (
  INSERT INTO revocation (tenant_id, schedule_id, occurrence_id, holders, held_until)
  VALUES ($1::text, $2::uuid, $3::uuid, $4::integer[], $5::timestamptz)
  RETURNING sequence
)
SELECT pg_notify('scheduler_revoked', sequence::text) FROM revoked
