-- hold_cursors: lock these cursors, as far as they still are of another edition than $3. Keys are sent in order.
-- The schedule with its cursor, in the one lock order, since a schedule of which nothing is left is completed.
-- SKIP LOCKED because whoever has one, an edit, a planner or a rival, leaves it with an edition that the next walk sees.
SELECT held.*
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, schedule_id)
CROSS JOIN LATERAL (
  SELECT c.tenant_id, c.schedule_id, c.revision, c.rule, c.created_at, c.next_fire_at, c.checkpoint, c.run_count,
         c.caught_up_count, c.next_order_ms, c.tzdata, c.repeats_until
  FROM schedule AS s
  JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
  WHERE s.tenant_id = k.tenant_id AND s.id = k.schedule_id AND c.tzdata IS DISTINCT FROM $3::text
  LIMIT 1
  FOR NO KEY UPDATE OF s SKIP LOCKED
  FOR UPDATE OF c SKIP LOCKED) AS held
