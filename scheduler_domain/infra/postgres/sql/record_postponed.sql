-- record_postponed: free occurrences until their next attempt and keep the attempt that failed, fenced by the token.
-- In the order of ids (lock_order.py).
-- start_tag becomes the instant of the next attempt; due_at stays, because lateness is counted from it.
-- first_fired_at marks the row as tried even where the attempt does not count, so that it is not sent as new.
-- One that awaits its callback ($13) waits until start_tag likewise. A callback may have come before: then it is looked at
-- at once. So is one of success that came while its attempt was cut off; one of failure is what failed, and is done with.
WITH outcome AS (
  SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::smallint[], $6::timestamptz[], $7::integer[],
    $8::timestamptz[], $9::text[], $10::smallint[], $11::text[], $12::boolean[], $13::boolean[])
  AS o (tenant_id, schedule_id, id, lease_token, attempt_count, fired_at, duration_ms,
        retry_at, error, status_code, response_excerpt, counts, awaits)
  ORDER BY id
), postponed AS (
  UPDATE due_queue AS q
  SET start_tag = CASE WHEN q.callback_succeeded OR o.awaits AND q.called_back_at IS NOT NULL THEN now()
                       ELSE o.retry_at END,
      lease_until = '-infinity', leased_by = NULL, attempt_count = o.attempt_count,
      first_fired_at = least(q.first_fired_at, o.fired_at),
      awaiting_since = CASE WHEN o.awaits THEN o.fired_at END,
      called_back_at = CASE WHEN q.callback_succeeded OR o.awaits THEN q.called_back_at END,
      callback_succeeded = CASE WHEN q.callback_succeeded OR o.awaits THEN q.callback_succeeded END,
      callback_message = CASE WHEN q.callback_succeeded OR o.awaits THEN q.callback_message END
  FROM outcome AS o
  WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id
    AND q.lease_token = o.lease_token
  RETURNING q.tenant_id, q.id, o.attempt_count, o.fired_at, o.duration_ms, o.error, o.status_code,
            o.response_excerpt, o.counts, q.called_back_at IS NOT NULL AS is_called_back
), kept AS (
  INSERT INTO attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome, status_code, error,
                       response_excerpt)
  SELECT tenant_id, id, attempt_count, fired_at, duration_ms, 'FAILED', status_code, error, response_excerpt
  FROM postponed
  WHERE counts
  ON CONFLICT DO NOTHING
)
SELECT id, CASE WHEN is_called_back THEN pg_notify('scheduler_due', '') END FROM postponed
