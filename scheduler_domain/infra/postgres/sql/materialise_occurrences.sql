-- materialise_occurrences: move cursors and insert what they passed, all or nothing per schedule.
-- The guard (revision and the instant that was read) makes a rival planner or an edit in between harmless: a cursor
-- that does not match moves nothing and inserts nothing. Computed ids make a second insert a no-op.
-- IS NOT DISTINCT FROM because no index serves it: by `=` a herd of one instant would be looked up once per member.
-- Rows are sent in (tenant, schedule) order, so two planners lock cursors in the same order.
-- What is planned and skipped names its cursor by the place in that order; arrays come as text and
-- instants as microseconds (arrays.py).
WITH moved AS (
  UPDATE schedule_cursor AS c
  SET next_fire_at = instant_of(p.after_at), checkpoint = p.checkpoint, run_count = p.run_count,
      caught_up_count = p.caught_up_count, next_order_ms = p.next_order_ms, tzdata = p.tzdata
  FROM unnest($1::text::text[], $2::text::uuid[], $3::text::integer[], $4::text::bigint[], $5::text::bigint[],
              $6::text[], $7::text::bigint[], $8::text::integer[], $9::text::bigint[], $10::text::text[])
              WITH ORDINALITY
    AS p (tenant_id, schedule_id, revision, before_at, after_at, checkpoint, run_count, caught_up_count,
          next_order_ms, tzdata, place)
  WHERE c.tenant_id = p.tenant_id AND c.schedule_id = p.schedule_id
    AND c.revision = p.revision AND c.next_fire_at IS NOT DISTINCT FROM instant_of(p.before_at)
  RETURNING c.tenant_id, c.schedule_id, c.revision, p.place
), planned AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, is_last)
  SELECT m.tenant_id, m.schedule_id, o.id, 'SCHEDULED', m.revision,
         instant_of(o.scheduled_for), instant_of(o.due_at), instant_of(o.start_tag), o.is_last
  FROM unnest($11::text::bigint[], $12::text::uuid[], $13::text::bigint[], $14::text::bigint[], $15::text::bigint[],
              $16::text::boolean[])
    AS o (place, id, scheduled_for, due_at, start_tag, is_last)
  JOIN moved AS m USING (place)
  ON CONFLICT DO NOTHING
  RETURNING 1
), skipped AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,
                      attempt_count, ended_at)
  SELECT m.tenant_id, o.id, m.schedule_id, 'SCHEDULED', m.revision,
         instant_of(o.scheduled_for), instant_of(o.due_at),
         'SKIPPED', o.reason, 0, now()
  FROM unnest($17::text::bigint[], $18::text::uuid[], $19::text::bigint[], $20::text::bigint[], $21::text::text[])
    AS o (place, id, scheduled_for, due_at, reason)
  JOIN moved AS m USING (place)
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM planned
