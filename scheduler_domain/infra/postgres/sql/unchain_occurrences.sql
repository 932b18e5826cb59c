-- unchain_occurrences: from the ends of these no next occurrence follows, though their schedule is a chain by now.
-- They were started when it was none: whoever holds one may end it without moving the schedule on, so the edit that made
-- the chain has planned its first. `is_last` is what tells later edits and resumes not to wait for such an end.
UPDATE due_queue
SET is_last = true
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND id = ANY ($3::uuid[])
