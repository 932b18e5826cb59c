-- read_schedules: schedules as they stand, by their ids ($2); run where the tenant is set already.
SELECT s.id, s.definition, s.state, s.state_reason, s.revision, s.version, s.created_at, s.updated_at, s.created_by,
       CASE WHEN s.state = 'ACTIVE' THEN least(c.next_fire_at, queued.first_at) END AS next_fire_at, fired.last_at AS last_fire_at
FROM schedule AS s
JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
CROSS JOIN LATERAL (
  SELECT min(q.scheduled_for) AS first_at
  FROM due_queue AS q
  WHERE q.tenant_id = s.tenant_id AND q.schedule_id = s.id AND q.kind = 'SCHEDULED' AND q.first_fired_at IS NULL
  LIMIT 1) AS queued
LEFT JOIN LATERAL (
  SELECT coalesce(l.fired_at, l.ended_at) AS last_at
  FROM ledger AS l
  WHERE l.tenant_id = s.tenant_id AND l.schedule_id = s.id AND l.status IN ('COMPLETED', 'FAILED')
  ORDER BY l.scheduled_for DESC
  LIMIT 1) AS fired ON true
WHERE s.tenant_id = $1::text AND s.id = ANY ($2::uuid[])
