-- change_schedule: store what a held schedule has become, move its cursor, and insert what is planned instead.
-- A planned row's token starts above every token that a withdrawn row of the same id can have had ($21): its holder's
-- outcome, late, must not end the new row. A row of that id which is there still, because somebody holds it, is taken
-- over in the same way; only what may be under way, or was tried, goes on as it is.
-- What has ended is not planned again: a schedule moved to another zone would otherwise meet the same local time, which
-- is the same occurrence, twice.
WITH changed AS (
  UPDATE schedule
  SET key = $3::text, name = $4::text, labels = $5::jsonb, trigger_type = $6::text, target_kind = $7::text,
      definition = $8::json, state = $9::text, state_reason = $10::text, resume_at = $11::timestamptz,
      paused_at = $12::timestamptz, revision = $13::integer, version = $14::integer, updated_at = $15::timestamptz
  WHERE tenant_id = $1::text AND id = $2::uuid
  RETURNING tenant_id, id
), moved AS (
  UPDATE schedule_cursor AS c
  SET revision = $13::integer, rule = $16::json, next_fire_at = $17::timestamptz, checkpoint = $18::text,
      run_count = $19::bigint, caught_up_count = $20::integer, next_order_ms = $32::bigint, tzdata = $33::text,
      in_force_since = $34::timestamptz, repeats_until = $35::timestamptz
  FROM changed
  WHERE c.tenant_id = changed.tenant_id AND c.schedule_id = changed.id
), planned AS (
  INSERT INTO due_queue AS q (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, is_last,
                              lease_token)
  SELECT changed.tenant_id, changed.id, o.id, 'SCHEDULED', $13::integer, o.scheduled_for, o.due_at, o.start_tag,
         o.is_last, $21::integer
  FROM changed,
       unnest($22::uuid[], $23::timestamptz[], $24::timestamptz[], $25::timestamptz[], $26::boolean[])
         AS o (id, scheduled_for, due_at, start_tag, is_last)
  WHERE NOT EXISTS (SELECT FROM ledger AS l WHERE l.tenant_id = changed.tenant_id AND l.id = o.id)
  ON CONFLICT (tenant_id, schedule_id, id) DO UPDATE
  SET revision = excluded.revision, scheduled_for = excluded.scheduled_for, due_at = excluded.due_at,
      start_tag = excluded.start_tag, is_last = excluded.is_last, lease_until = '-infinity', leased_by = NULL,
      lease_token = greatest(q.lease_token + 1, excluded.lease_token)
  WHERE q.first_fired_at IS NULL AND NOT (q.lease_until > $15::timestamptz AND q.due_at <= $15::timestamptz)
), skipped AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,
                      attempt_count, ended_at)
  SELECT changed.tenant_id, o.id, changed.id, 'SCHEDULED', $13::integer, o.scheduled_for, o.due_at, 'SKIPPED',
         o.reason, 0, now()
  FROM changed,
       unnest($27::uuid[], $28::timestamptz[], $29::timestamptz[], $30::text[]) AS o (id, scheduled_for, due_at, reason)
  ON CONFLICT DO NOTHING
)
SELECT CASE WHEN $31::boolean THEN pg_notify('scheduler_due', '') END FROM changed
