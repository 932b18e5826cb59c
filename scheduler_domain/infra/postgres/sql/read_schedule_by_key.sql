-- read_schedule_by_key: one schedule as it stands, by the key that its tenant gave it ($2). Otherwise as read_schedule.
-- LATERAL with LIMIT cannot run before the row it hangs on, so the tenant is set before any policy asks for it.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT s.id, s.definition, s.state, s.state_reason, s.revision, s.version, s.created_at, s.updated_at, s.created_by,
         CASE WHEN s.state = 'ACTIVE' THEN least(
           c.next_fire_at,
           (SELECT min(q.scheduled_for) FROM due_queue AS q
            WHERE q.tenant_id = s.tenant_id AND q.schedule_id = s.id AND q.kind = 'SCHEDULED'
              AND q.first_fired_at IS NULL)) END AS next_fire_at,
         (SELECT coalesce(l.fired_at, l.ended_at) FROM ledger AS l
          WHERE l.tenant_id = s.tenant_id AND l.schedule_id = s.id AND l.status IN ('COMPLETED', 'FAILED')
          ORDER BY l.scheduled_for DESC
          LIMIT 1) AS last_fire_at
  FROM schedule AS s
  JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
  WHERE s.tenant_id = tenant.id AND s.key = $2::text
  LIMIT 1) AS found
