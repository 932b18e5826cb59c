-- record_postponed: free occurrences until their next attempt and keep the attempt that failed, fenced by the token.
-- start_tag becomes the instant of the next attempt; due_at stays, because lateness is counted from it.
-- first_fired_at marks the row as tried even where the attempt does not count, so that it is not sent as new.
WITH outcome AS (
  SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::smallint[], $6::timestamptz[], $7::integer[],
    $8::timestamptz[], $9::text[], $10::smallint[], $11::text[], $12::boolean[])
  AS o (tenant_id, schedule_id, id, lease_token, attempt_count, fired_at, duration_ms,
        retry_at, error, status_code, response_excerpt, counts)
), postponed AS (
  UPDATE due_queue AS q
  SET start_tag = o.retry_at, lease_until = '-infinity', leased_by = NULL, attempt_count = o.attempt_count,
      first_fired_at = coalesce(q.first_fired_at, o.fired_at)
  FROM outcome AS o
  WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id
    AND q.lease_token = o.lease_token
  RETURNING q.tenant_id, q.id, o.attempt_count, o.fired_at, o.duration_ms, o.error, o.status_code,
            o.response_excerpt, o.counts
), kept AS (
  INSERT INTO attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome, status_code, error,
                       response_excerpt)
  SELECT tenant_id, id, attempt_count, fired_at, duration_ms, 'FAILED', status_code, error, response_excerpt
  FROM postponed
  WHERE counts
  ON CONFLICT DO NOTHING
)
SELECT id FROM postponed
