-- read_account: what an audit has to know of a schedule ($2): its rule and since when, whether it stopped, how far rows go.
-- LATERAL with LIMIT cannot run before the row it hangs on, so the tenant is set before any policy asks for it.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT s.id, s.state, c.revision, c.rule, c.created_at, c.next_fire_at,
         coalesce(c.in_force_since, c.created_at) AS in_force_since,
         CASE s.state WHEN 'PAUSED' THEN s.paused_at WHEN 'DISABLED' THEN s.updated_at END AS stopped_at,
         greatest((SELECT max(q.scheduled_for) FROM due_queue AS q
                   WHERE q.tenant_id = s.tenant_id AND q.schedule_id = s.id AND q.kind = 'SCHEDULED'),
                  (SELECT l.scheduled_for FROM ledger AS l
                   WHERE l.tenant_id = s.tenant_id AND l.schedule_id = s.id AND l.kind = 'SCHEDULED'
                   ORDER BY l.scheduled_for DESC
                   LIMIT 1)) AS last_known_at,
         coalesce(ledger_begins_at(), c.created_at) AS ledger_begins_at, now() AS now
  FROM schedule AS s
  JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
  WHERE s.tenant_id = tenant.id AND s.id = $2::uuid
  LIMIT 1) AS found
