-- decide_lines: mark occurrences as started, or, where there is a wait ($5), give them back to ask again after it.
-- In the order of ids (lock_order.py).
-- The mark is kept until the row ends: whoever holds the place has not ended, whatever became of its dispatcher.
-- start_tag is when the next claim finds it; due_at stays, because the line is ordered by it and lateness counted from it.
-- What starts has a tag that has come, though it was claimed ahead of the moment at which it would have asked again:
-- otherwise its receiver could not call back before the attempt is recorded (hold_expectation).
UPDATE due_queue AS q
SET admitted_at = CASE WHEN o.wait IS NULL THEN now() ELSE q.admitted_at END,
    start_tag = CASE WHEN o.wait IS NULL THEN least(q.start_tag, now()) ELSE now() + o.wait END,
    lease_until = CASE WHEN o.wait IS NULL THEN q.lease_until ELSE '-infinity' END,
    leased_by = CASE WHEN o.wait IS NULL THEN q.leased_by END
FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::interval[])
        AS u (tenant_id, schedule_id, id, lease_token, wait)
      ORDER BY id) AS o
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
RETURNING q.id
