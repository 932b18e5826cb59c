-- trigger_schedule: put one manual occurrence into the queue, due now, whatever the schedule's state.
-- FOR SHARE because a deletion must either be seen or wait; answers with a row, or with none where there is nothing to trigger.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id),
triggered AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag)
  SELECT tenant.id, found.id, $3::uuid, 'MANUAL', found.revision, $4::timestamptz, $4::timestamptz, $4::timestamptz
  FROM tenant
  CROSS JOIN LATERAL (
    SELECT s.id, s.revision FROM schedule AS s
    WHERE s.tenant_id = tenant.id AND s.id = $2::uuid
    LIMIT 1
    FOR SHARE) AS found
  RETURNING id
)
SELECT id, pg_notify('scheduler_due', '') FROM triggered
