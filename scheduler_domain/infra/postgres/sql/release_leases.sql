-- release_leases: give back what was not started; anyone may claim it at once.
-- In the order of ids (lock_order.py).
UPDATE due_queue AS q
SET lease_until = '-infinity', leased_by = NULL
FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) AS u (tenant_id, schedule_id, id, lease_token)
      ORDER BY id) AS o
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
