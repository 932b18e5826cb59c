-- complete_schedules: nothing was left to plan for these; an edit since (another revision) keeps them alive.
UPDATE schedule AS s
SET state = 'COMPLETED', version = s.version + 1, updated_at = now()
FROM unnest($1::text[], $2::uuid[], $3::integer[]) AS o (tenant_id, schedule_id, revision)
WHERE s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.revision = o.revision AND s.state = 'ACTIVE'
