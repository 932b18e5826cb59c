-- move_occurrences: give queued occurrences their new instants; the id, and with it every key, stays.
-- The caller holds the rows (hold_queued_ahead). The kick, because one may be due earlier than anybody looks next.
WITH moved AS (
  UPDATE due_queue AS q
  SET scheduled_for = o.scheduled_for, due_at = o.due_at, start_tag = o.start_tag, is_last = o.is_last
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
              $7::boolean[])
    AS o (tenant_id, schedule_id, id, scheduled_for, due_at, start_tag, is_last)
  WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id
  RETURNING 1
)
SELECT CASE WHEN EXISTS (SELECT FROM moved) THEN pg_notify('scheduler_due', '') END
