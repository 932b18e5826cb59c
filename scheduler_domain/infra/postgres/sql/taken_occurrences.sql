-- taken_occurrences: which of these occurrences exist already, queued or ended. One snapshot, so that one which ends
-- meanwhile is seen in one of the two.
SELECT o.id
FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS o (tenant_id, schedule_id, id)
WHERE (SELECT 1 FROM ledger AS l WHERE l.tenant_id = o.tenant_id AND l.id = o.id LIMIT 1) IS NOT NULL
   OR (SELECT 1 FROM due_queue AS q
       WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id LIMIT 1) IS NOT NULL
