-- withdraw_occurrences: take occurrences out of the queue; $3 leave no trace, $4 end in the ledger with the reason $5.
-- The caller holds the rows (hold_occurrences), so what it decided about them is still so.
-- Two deletions by key: to tell the two apart among what one has deleted takes as many comparisons as the square of them.
WITH forgotten AS (
  DELETE FROM due_queue
  WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND id = ANY ($3::uuid[])
), cancelled AS (
  DELETE FROM due_queue
  WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND id = ANY ($4::uuid[])
  RETURNING *
)
INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason, attempt_count,
                    fired_at, ended_at, lateness_ms, lease_token)
SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, 'CANCELLED', $5::text, attempt_count,
       first_fired_at, $6::timestamptz, CASE WHEN first_fired_at IS NOT NULL
            THEN least(date_part('epoch', first_fired_at - due_at) * 1000, 2147483647)::integer END, lease_token
FROM cancelled
ON CONFLICT DO NOTHING
