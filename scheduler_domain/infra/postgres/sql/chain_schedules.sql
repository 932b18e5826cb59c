-- chain_schedules: a schedule that runs from completion is due again, a delay after its occurrence ended.
-- Not while it is paused, completed or disabled: whoever makes it active again decides when it is due.
UPDATE schedule_cursor AS c
SET next_fire_at = o.next_fire_at
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS o (tenant_id, schedule_id, next_fire_at)
JOIN schedule AS s ON s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.state = 'ACTIVE'
WHERE c.tenant_id = o.tenant_id AND c.schedule_id = o.schedule_id AND c.next_fire_at IS NULL
