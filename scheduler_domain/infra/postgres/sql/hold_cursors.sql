-- hold_cursors: lock these cursors, as far as they still are of another edition than $3. Keys are sent in order.
-- SKIP LOCKED because whoever has one, an edit, a planner or a rival, leaves it with an edition that the next walk sees.
SELECT c.*
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, schedule_id)
CROSS JOIN LATERAL (
  SELECT tenant_id, schedule_id, revision, rule, created_at, next_fire_at, checkpoint, run_count, caught_up_count,
         next_order_ms, tzdata, repeats_until
  FROM schedule_cursor
  WHERE tenant_id = k.tenant_id AND schedule_id = k.schedule_id AND tzdata IS DISTINCT FROM $3::text
  LIMIT 1
  FOR UPDATE SKIP LOCKED) AS c
