-- record_ended: move occurrences that ended from the queue to the ledger, fenced by their lease token.
-- A row that was claimed again since, or withdrawn, does not match: its successor's word counts.
-- In the order of ids (lock_order.py).
-- ON CONFLICT DO NOTHING because an instant ends once, and one old row must not fail a whole batch.
-- What a receiver called back as done while its last attempt was under way is done, however that attempt went.
-- The ledger keeps the token of what did not complete: should the row return to the queue, it starts above all of them.
-- The token comes back too: a dispatcher that claimed a row anew before it could write may bring two outcomes of it. So
-- does what the schedule is moved on by: the row as it was by now, which an edit may have changed since its claim.
WITH outcome AS (
  SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::smallint[], $8::timestamptz[],
    $9::timestamptz[], $10::integer[], $11::smallint[], $12::text[], $13::text[])
  AS o (tenant_id, schedule_id, id, lease_token, status, reason, attempt_count, fired_at,
        ended_at, duration_ms, status_code, error, response_excerpt)
  ORDER BY id
), ended AS (
  DELETE FROM due_queue AS q USING outcome AS o
  WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id
    AND q.lease_token = o.lease_token
  RETURNING q.lease_token, q.tenant_id, q.schedule_id, q.id, q.kind, q.revision, q.scheduled_for, q.due_at, q.first_fired_at,
            o.attempt_count, o.fired_at, o.ended_at, o.duration_ms, o.status_code, o.response_excerpt,
            CASE WHEN o.status = 'FAILED' AND q.callback_succeeded THEN 'COMPLETED' ELSE o.status END AS status,
            CASE WHEN o.status = 'FAILED' AND q.callback_succeeded THEN NULL ELSE o.reason END AS reason,
            CASE WHEN o.status = 'FAILED' AND q.callback_succeeded THEN NULL ELSE o.error END AS error
), written AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason,
                      attempt_count, fired_at, ended_at, duration_ms, lateness_ms, status_code, error,
                      response_excerpt, lease_token)
  SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason, attempt_count, fired_at,
         ended_at, duration_ms,
         least(date_part('epoch', coalesce(first_fired_at, fired_at) - due_at) * 1000, 2147483647)::integer,
         status_code, error, response_excerpt, CASE WHEN status <> 'COMPLETED' THEN lease_token END
  FROM ended
  ON CONFLICT DO NOTHING
)
SELECT id, lease_token, revision, first_fired_at IS NOT NULL AS was_tried FROM ended
