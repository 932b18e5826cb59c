-- hold_schedule: lock a schedule, then its cursor, so that no planner, edit or trigger comes between reading and change.
-- Answers with the database's clock after the wait for the lock: the clock that leases are timed by.
SELECT s.id, s.definition, s.state, s.state_reason, s.revision, s.version, s.created_at, s.updated_at, s.created_by,
       s.paused_at, s.resume_at, c.rule, c.next_fire_at, c.checkpoint, c.run_count, c.caught_up_count,
       c.next_order_ms, c.tzdata, c.repeats_until, c.in_force_since,
       EXISTS (SELECT FROM template_instance AS i WHERE i.tenant_id = s.tenant_id AND i.schedule_id = s.id) AS is_instance,
       clock_timestamp() AS now
FROM schedule AS s
JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
WHERE s.tenant_id = $1::text AND s.id = $2::uuid
FOR UPDATE OF s, c
