-- hold_schedules: lock schedules before anything of theirs: the one order is schedule, cursor, queue. Keys in order.
-- NO KEY UPDATE is what completing or disabling them takes later; those that are gone are passed over.
SELECT 1
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, schedule_id)
CROSS JOIN LATERAL (
  SELECT s.id FROM schedule AS s
  WHERE s.tenant_id = k.tenant_id AND s.id = k.schedule_id
  LIMIT 1
  FOR NO KEY UPDATE) AS held
