-- put_off_occurrences: give back what was not started, to be claimed again after a wait ($5), fenced by the token.
-- In the order of ids (lock_order.py).
-- start_tag is when the next claim finds it; due_at stays, because lateness and the age of retries are counted from it.
UPDATE due_queue AS q
SET start_tag = now() + o.wait, lease_until = '-infinity', leased_by = NULL
FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::interval[])
        AS u (tenant_id, schedule_id, id, lease_token, wait)
      ORDER BY id) AS o
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
