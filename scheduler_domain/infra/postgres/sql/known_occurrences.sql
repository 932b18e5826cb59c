-- known_occurrences: what there is of a schedule's plan ($2) in [$3, $4), queued and ended, at most $5 of each.
-- One snapshot, so an occurrence on its way from queue to ledger is never in neither.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT known.*
FROM tenant
CROSS JOIN LATERAL (
  (SELECT l.id, l.scheduled_for, l.status FROM ledger AS l
   WHERE l.tenant_id = tenant.id AND l.schedule_id = $2::uuid AND l.kind = 'SCHEDULED'
     AND l.scheduled_for >= $3::timestamptz AND l.scheduled_for < $4::timestamptz
   ORDER BY l.scheduled_for
   LIMIT $5::integer)
  UNION ALL
  (SELECT q.id, q.scheduled_for, CASE WHEN q.awaiting_since IS NOT NULL
                                        OR (q.lease_until > now() AND greatest(q.due_at, q.start_tag) <= now())
                                      THEN 'PROCESSING' ELSE 'PENDING' END
   FROM due_queue AS q
   WHERE q.tenant_id = tenant.id AND q.schedule_id = $2::uuid AND q.kind = 'SCHEDULED'
     AND q.scheduled_for >= $3::timestamptz AND q.scheduled_for < $4::timestamptz
   LIMIT $5::integer)
  ORDER BY scheduled_for) AS known
