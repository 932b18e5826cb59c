-- fired_lately: the occurrences of a schedule's own plan that were delivered, or given up, since $3; at most $4.
SELECT id FROM ledger
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND kind = 'SCHEDULED' AND scheduled_for >= $3::timestamptz
  AND status IN ('COMPLETED', 'FAILED')
ORDER BY scheduled_for DESC
LIMIT $4::integer
