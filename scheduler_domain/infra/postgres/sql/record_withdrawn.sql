-- record_withdrawn: tell the truth about deliveries whose rows were withdrawn before they could be recorded.
-- A lease may run out, or an edit take it away, while its holder cannot reach the database: whoever claims the row then
-- finds its schedule paused or gone, or the row missed, forgets it or writes CANCELLED or SKIPPED. That it was delivered
-- must be known all the same, and wins.
-- A row that is queued, or has ended otherwise, was claimed by another since: its word counts, and nothing is written.
INSERT INTO ledger AS l (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count, fired_at,
                    ended_at, duration_ms, lateness_ms, status_code, response_excerpt)
SELECT o.tenant_id, o.id, o.schedule_id, o.kind, o.revision, o.scheduled_for, o.due_at, 'COMPLETED', o.attempt_count,
       o.fired_at, o.ended_at, o.duration_ms,
       least(date_part('epoch', o.fired_at - o.due_at) * 1000, 2147483647)::integer, o.status_code, o.response_excerpt
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[],
            $8::smallint[], $9::timestamptz[], $10::timestamptz[], $11::integer[], $12::smallint[], $13::text[])
  AS o (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, attempt_count, fired_at, ended_at,
        duration_ms, status_code, response_excerpt)
WHERE NOT EXISTS (
  SELECT FROM due_queue AS q
  WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id)
ON CONFLICT (tenant_id, id) DO UPDATE
SET status = excluded.status, reason = NULL, attempt_count = excluded.attempt_count, fired_at = excluded.fired_at,
    ended_at = excluded.ended_at, duration_ms = excluded.duration_ms, lateness_ms = excluded.lateness_ms,
    status_code = excluded.status_code, error = NULL, response_excerpt = excluded.response_excerpt
WHERE l.status IN ('CANCELLED', 'SKIPPED')
