-- hold_instances: lock the schedules ($2) of instances with their cursors, each in the order schedule, cursor, by id.
-- As hold_schedule does for one; whoever holds them sees in its next statement all that planners did before.
SELECT s.id
FROM schedule AS s
JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
WHERE s.tenant_id = $1::text AND s.id = ANY ($2::uuid[])
ORDER BY s.id
FOR UPDATE OF s, c
