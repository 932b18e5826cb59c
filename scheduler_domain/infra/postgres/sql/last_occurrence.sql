-- last_occurrence: when a schedule last fired, and when the newest occurrence of its own plan ended.
SELECT (SELECT coalesce(l.fired_at, l.ended_at) FROM ledger AS l
        WHERE l.tenant_id = $1::text AND l.schedule_id = $2::uuid AND l.status IN ('COMPLETED', 'FAILED')
        ORDER BY l.scheduled_for DESC LIMIT 1) AS last_fire_at,
       (SELECT l.ended_at FROM ledger AS l
        WHERE l.tenant_id = $1::text AND l.schedule_id = $2::uuid AND l.kind = 'SCHEDULED'
        ORDER BY l.scheduled_for DESC LIMIT 1) AS planned_ended_at
