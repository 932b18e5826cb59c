-- renew_leases: extend the leases that are still ours; those that are not come back missing.
-- In the order of ids (lock_order.py).
-- One that ran out is not ours, though nobody has claimed the row since: a pause or a deletion is answered once the leases
-- have run out that could act against it, and a holder that was stopped until then must not bring its own back to life.
UPDATE due_queue AS q
SET lease_until = now() + $5::interval
FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) AS u (tenant_id, schedule_id, id, lease_token)
      ORDER BY id) AS o
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
  AND q.lease_until > now()
RETURNING q.id, q.ctid::text
