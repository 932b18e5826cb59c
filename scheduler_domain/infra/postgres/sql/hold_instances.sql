-- hold_instances: lock the schedules ($2) of instances with their cursors, by id, and each schedule before its cursor.
-- As hold_schedule does for one; whoever holds them sees in its next statement all that planners did before.
-- LATERAL … LIMIT 1 keeps each of the two a primary-key lookup a row, however many schedules the tenant has.
SELECT held.id
FROM (SELECT id FROM unnest($2::uuid[]) AS u (id) ORDER BY id) AS wanted
CROSS JOIN LATERAL (
  SELECT s.id FROM schedule AS s
  WHERE s.tenant_id = $1::text AND s.id = wanted.id
  LIMIT 1
  FOR UPDATE) AS held
CROSS JOIN LATERAL (
  SELECT 1 FROM schedule_cursor AS c
  WHERE c.tenant_id = $1::text AND c.schedule_id = held.id
  LIMIT 1
  FOR UPDATE) AS place
