-- revise_instances: make held schedules what their instances say by now, those alone that nothing is under way of.
-- Quiet means: active, nothing in the queue, nothing fired since $5 (a local day may last so long), and not due before
-- $6, so that there is nothing to withdraw and nothing that could be fired twice. The keys of those come back; the others
-- are edited one by one, as by hand; and so are instances that somebody else has changed meanwhile. `enabled` stays as it is stored, since only active schedules are quiet.
-- Until $19 the planner looks whether what a schedule names exists already (domain/repeats.py).
-- The ledger is compared by schedule and instant as one, which only the index by schedule serves: where a month has no
-- statistics yet, the planner would as soon read all that the tenant had since $5.
-- LATERAL … LIMIT 1 keeps each look-up one by primary key. ctid is safe: the caller holds schedules and cursors, and
-- whoever changes an instance's row holds its schedule.
WITH wanted AS MATERIALIZED (
  SELECT i.*
  FROM unnest($7::text[], $8::uuid[], $9::json[], $10::text[], $11::jsonb[], $12::text[], $13::text[], $14::json[],
              $15::json[], $16::timestamptz[], $17::bigint[], $18::text[], $20::integer[], $21::text[])
         AS i (key, schedule_id, parameters, name, labels, trigger_type, target_kind, definition, rule,
               next_fire_at, next_order_ms, tzdata, was_version, was_parameters)
), quiet AS MATERIALIZED (
  SELECT wanted.*, s.place AS schedule_place, s.revision + 1 AS revision, c.place AS cursor_place, i.place AS own_place
  FROM wanted
  CROSS JOIN LATERAL (
    SELECT s.ctid AS place, s.revision FROM schedule AS s
    WHERE s.tenant_id = $1::text AND s.id = wanted.schedule_id AND s.state = 'ACTIVE'
    LIMIT 1) AS s
  CROSS JOIN LATERAL (
    SELECT c.ctid AS place FROM schedule_cursor AS c
    WHERE c.tenant_id = $1::text AND c.schedule_id = wanted.schedule_id AND c.next_fire_at >= $6::timestamptz
    LIMIT 1) AS c
  CROSS JOIN LATERAL (
    SELECT i.ctid AS place FROM template_instance AS i
    WHERE i.tenant_id = $1::text AND i.template = $2::text AND i.key = wanted.key AND i.schedule_id = wanted.schedule_id
      AND i.template_version = wanted.was_version AND i.parameters::text = wanted.was_parameters
    LIMIT 1) AS i
  WHERE wanted.next_fire_at >= $6::timestamptz
    AND (SELECT 1 FROM due_queue AS q
         WHERE q.tenant_id = $1::text AND q.schedule_id = wanted.schedule_id LIMIT 1) IS NULL
    AND (SELECT 1 FROM ledger AS l
         WHERE l.tenant_id = $1::text AND l.schedule_id = wanted.schedule_id
           AND (l.schedule_id, l.scheduled_for) >= (wanted.schedule_id, $5::timestamptz)
         LIMIT 1) IS NULL
), changed AS (
  UPDATE schedule AS s
  SET name = quiet.name, labels = quiet.labels, trigger_type = quiet.trigger_type, target_kind = quiet.target_kind,
      definition = quiet.definition, revision = quiet.revision, version = s.version + 1, updated_at = $4::timestamptz
  FROM quiet
  WHERE s.ctid = quiet.schedule_place
), moved AS (
  UPDATE schedule_cursor AS c
  SET revision = quiet.revision, rule = quiet.rule, next_fire_at = quiet.next_fire_at, checkpoint = NULL,
      caught_up_count = 0, next_order_ms = quiet.next_order_ms, tzdata = quiet.tzdata, repeats_until = $19::timestamptz,
      in_force_since = CASE WHEN c.rule::text = quiet.rule::text THEN c.in_force_since ELSE $4::timestamptz END
  FROM quiet
  WHERE c.ctid = quiet.cursor_place
), remembered AS (
  UPDATE template_instance AS i
  SET template_version = $3::integer, parameters = quiet.parameters, problem = NULL
  FROM quiet
  WHERE i.ctid = quiet.own_place
)
SELECT key FROM quiet
