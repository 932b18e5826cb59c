-- revise_instances: make held schedules what their instances say by now, those alone that nothing is under way of.
-- Quiet means: active, nothing in the queue, nothing fired since $5 (a local day may last so long), and not due before $6,
-- so that there is nothing to withdraw and nothing that could be fired twice. The keys of those come back; the others
-- are edited one by one, as by hand. `enabled` stays as it is stored, since only active schedules are quiet.
WITH wanted AS MATERIALIZED (
  SELECT i.*
  FROM unnest($7::text[], $8::uuid[], $9::json[], $10::text[], $11::jsonb[], $12::text[], $13::text[], $14::json[],
              $15::json[], $16::timestamptz[], $17::bigint[], $18::text[])
         AS i (key, schedule_id, parameters, name, labels, trigger_type, target_kind, definition, rule,
               next_fire_at, next_order_ms, tzdata)
), quiet AS MATERIALIZED (
  SELECT wanted.*
  FROM wanted
  JOIN schedule AS s ON s.tenant_id = $1::text AND s.id = wanted.schedule_id
  JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
  WHERE s.state = 'ACTIVE' AND c.next_fire_at >= $6::timestamptz AND wanted.next_fire_at >= $6::timestamptz
    AND (SELECT 1 FROM due_queue AS q WHERE q.tenant_id = s.tenant_id AND q.schedule_id = s.id LIMIT 1) IS NULL
    AND (SELECT 1 FROM ledger AS l
         WHERE l.tenant_id = s.tenant_id AND l.schedule_id = s.id AND l.scheduled_for >= $5::timestamptz LIMIT 1) IS NULL
), changed AS (
  UPDATE schedule AS s
  SET name = quiet.name, labels = quiet.labels, trigger_type = quiet.trigger_type, target_kind = quiet.target_kind,
      definition = quiet.definition, revision = s.revision + 1, version = s.version + 1, updated_at = $4::timestamptz
  FROM quiet
  WHERE s.tenant_id = $1::text AND s.id = quiet.schedule_id
  RETURNING s.id, s.revision
), moved AS (
  UPDATE schedule_cursor AS c
  SET revision = changed.revision, rule = quiet.rule, next_fire_at = quiet.next_fire_at, checkpoint = NULL,
      caught_up_count = 0, next_order_ms = quiet.next_order_ms, tzdata = quiet.tzdata
  FROM quiet JOIN changed ON changed.id = quiet.schedule_id
  WHERE c.tenant_id = $1::text AND c.schedule_id = quiet.schedule_id
), remembered AS (
  UPDATE template_instance AS i
  SET template_version = $3::integer, parameters = quiet.parameters, problem = NULL
  FROM quiet
  WHERE i.tenant_id = $1::text AND i.template = $2::text AND i.key = quiet.key
)
SELECT key FROM quiet
