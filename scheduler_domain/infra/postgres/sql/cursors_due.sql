-- cursors_due: the schedules whose first unplanned instant lies in [$1, $2), earliest first: one index range, whatever
-- is stored.
SELECT tenant_id, schedule_id, revision, rule, created_at, next_fire_at, checkpoint, run_count, caught_up_count,
       next_order_ms, tzdata, repeats_until
FROM schedule_cursor
WHERE next_fire_at >= $1::timestamptz AND next_fire_at < $2::timestamptz
ORDER BY next_fire_at
LIMIT $3::integer
