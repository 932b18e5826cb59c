-- revoke_occurrences: tell dispatchers, with the commit, to let go of what they hold of a schedule, or of one occurrence
-- of it ($3).
WITH revoked AS (
  INSERT INTO revocation (tenant_id, schedule_id, occurrence_id) VALUES ($1::text, $2::uuid, $3::uuid) RETURNING sequence
)
SELECT sequence, pg_notify('scheduler_revoked', sequence::text) FROM revoked
