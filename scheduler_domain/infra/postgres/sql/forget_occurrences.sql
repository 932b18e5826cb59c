-- forget_occurrences: take withdrawn occurrences out of the queue before their instants, fenced by their lease tokens.
-- In the order of ids (lock_order.py).
-- They leave no trace: nobody expects them any more, or they are planned again under a higher token.
-- What has become due since it was judged stays until its lease has run out, and is judged again: a resume in between has
-- taken it for one under way, whose end moves its schedule on.
DELETE FROM due_queue AS q
USING (SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) AS u (tenant_id, schedule_id, id, lease_token)
      ORDER BY id) AS o
WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
  AND q.scheduled_for > now()
