-- last_occurrence: when a schedule last fired, and, of a chain ($3), when the newest occurrence of its own plan ended: for
-- others nobody asks, and what is mostly run by hand would be read as far back as its plan.
SELECT (SELECT coalesce(l.fired_at, l.ended_at) FROM ledger AS l
        WHERE l.tenant_id = $1::text AND l.schedule_id = $2::uuid AND l.status IN ('COMPLETED', 'FAILED')
        ORDER BY l.scheduled_for DESC LIMIT 1) AS last_fire_at,
       CASE WHEN $3::boolean THEN
         (SELECT l.ended_at FROM ledger AS l
          WHERE l.tenant_id = $1::text AND l.schedule_id = $2::uuid AND l.kind = 'SCHEDULED'
          ORDER BY l.scheduled_for DESC LIMIT 1) END AS planned_ended_at
