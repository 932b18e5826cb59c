-- carry_over_occurrences: what is queued and was not started goes by the new revision ($3), at the instant it had.
-- The lease is taken back and its token raised: a dispatcher that holds the row knows the schedule as it was.
UPDATE due_queue
SET revision = $3::integer, lease_until = '-infinity', leased_by = NULL, lease_token = lease_token + 1
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND first_fired_at IS NULL
  AND (lease_until <= $4::timestamptz OR due_at > $4::timestamptz)
