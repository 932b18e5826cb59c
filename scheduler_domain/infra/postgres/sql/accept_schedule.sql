-- accept_schedule: store a schedule, its cursor and the occurrences of the next minute, all or nothing, in one round trip.
-- Each part reads from the one before, so nothing is written before the tenant is set; the rows' own policy refuses
-- any other tenant's. Plans of a new schedule may hold skipped instants: a one-shot that was past and is not to run.
-- The notification reaches dispatchers with the commit; polling finds the same a quarter of a second later.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id),
accepted AS (
  INSERT INTO schedule (tenant_id, id, key, name, labels, trigger_type, target_kind, definition, state, state_reason,
                        paused_at, created_at, updated_at, created_by)
  SELECT tenant.id, $2::uuid, $3::text, $4::text, $5::jsonb, $6::text, $7::text, $8::json, $9::text, $10::text,
         CASE WHEN $9::text = 'PAUSED' THEN $11::timestamptz END, $11::timestamptz, $11::timestamptz, $12::text
  FROM tenant
  RETURNING tenant_id, id
), placed AS (
  INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at, next_fire_at, checkpoint, run_count,
                               next_order_ms, tzdata)
  SELECT tenant_id, id, 1, $13::json, $11::timestamptz, $14::timestamptz, $15::text, $16::bigint, $27::bigint,
         $28::text
  FROM accepted
), planned AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, is_last)
  SELECT accepted.tenant_id, accepted.id, o.id, 'SCHEDULED', 1, o.scheduled_for, o.due_at, o.start_tag, o.is_last
  FROM accepted,
       unnest($17::uuid[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::boolean[])
         AS o (id, scheduled_for, due_at, start_tag, is_last)
), skipped AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,
                      attempt_count, ended_at)
  SELECT accepted.tenant_id, o.id, accepted.id, 'SCHEDULED', 1, o.scheduled_for, o.due_at, 'SKIPPED', o.reason, 0, now()
  FROM accepted,
       unnest($22::uuid[], $23::timestamptz[], $24::timestamptz[], $25::text[]) AS o (id, scheduled_for, due_at, reason)
)
SELECT CASE WHEN $26::boolean THEN pg_notify('scheduler_due', '') END FROM accepted
