-- accept_instances: store schedules made from a template, their cursors and the occurrences of the next minute, all or nothing.
-- A key that has become an instance meanwhile is passed by, and with it everything that refers to its schedule; the keys
-- that were stored come back. A tenant's own template ($4 false) is locked against a new version and against deletion:
-- if it is not of the version ($3) that the schedules were made from any more, nothing is stored.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id),
guarded AS MATERIALIZED (
  SELECT found.*
  FROM tenant
  CROSS JOIN LATERAL (
    SELECT t.version FROM template AS t
    WHERE t.tenant_id = tenant.id AND t.name = $2::text AND t.version = $3::integer
    LIMIT 1
    FOR SHARE) AS found
), wanted AS MATERIALIZED (
  SELECT tenant.id AS tenant_id, i.*
  FROM tenant,
       unnest($7::text[], $8::uuid[], $9::json[], $10::text[], $11::jsonb[], $12::text[], $13::text[], $14::json[],
              $15::text[], $16::json[], $17::timestamptz[], $18::text[], $19::bigint[], $20::bigint[], $21::text[])
         AS i (key, schedule_id, parameters, name, labels, trigger_type, target_kind, definition, state, rule,
               next_fire_at, checkpoint, run_count, next_order_ms, tzdata)
  WHERE $4::boolean OR EXISTS (SELECT FROM guarded)
), made AS (
  INSERT INTO template_instance (tenant_id, template, key, schedule_id, template_version, parameters)
  SELECT tenant_id, $2::text, key, schedule_id, $3::integer, parameters
  FROM wanted
  ORDER BY key
  ON CONFLICT DO NOTHING
  RETURNING key, schedule_id
), accepted AS (
  INSERT INTO schedule (tenant_id, id, name, labels, trigger_type, target_kind, definition, state, paused_at, created_at,
                        updated_at, created_by)
  SELECT wanted.tenant_id, wanted.schedule_id, name, labels, trigger_type, target_kind, definition, state,
         CASE WHEN state = 'PAUSED' THEN $5::timestamptz END, $5::timestamptz, $5::timestamptz, $6::text
  FROM wanted JOIN made USING (schedule_id)
), placed AS (
  INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at, next_fire_at, checkpoint, run_count,
                               next_order_ms, tzdata)
  SELECT wanted.tenant_id, wanted.schedule_id, 1, rule, $5::timestamptz, next_fire_at, checkpoint, run_count,
         next_order_ms, tzdata
  FROM wanted JOIN made USING (schedule_id)
), planned AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, is_last)
  SELECT tenant.id, o.schedule_id, o.id, 'SCHEDULED', 1, o.scheduled_for, o.due_at, o.start_tag, o.is_last
  FROM tenant,
       unnest($22::uuid[], $23::uuid[], $24::timestamptz[], $25::timestamptz[], $26::timestamptz[], $27::boolean[])
         AS o (schedule_id, id, scheduled_for, due_at, start_tag, is_last)
  JOIN made ON made.schedule_id = o.schedule_id
), notified AS (
  SELECT CASE WHEN $28::boolean THEN pg_notify('scheduler_due', '') END AS told FROM tenant
)
SELECT made.key FROM made, notified
