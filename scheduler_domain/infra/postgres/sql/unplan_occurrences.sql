-- unplan_occurrences: take rows out of the queue that are planned again, or not expected any more. The caller holds them.
DELETE FROM due_queue AS q
USING unnest($1::text[], $2::uuid[], $3::uuid[]) AS o (tenant_id, schedule_id, id)
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id
