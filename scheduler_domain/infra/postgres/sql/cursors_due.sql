-- cursors_due: the schedules with an unplanned instant before $1, earliest first. One index range, whatever is stored.
SELECT tenant_id, schedule_id, revision, rule, created_at, next_fire_at, checkpoint, run_count, caught_up_count
FROM schedule_cursor
WHERE next_fire_at <= $1::timestamptz
ORDER BY next_fire_at
LIMIT $2::integer
