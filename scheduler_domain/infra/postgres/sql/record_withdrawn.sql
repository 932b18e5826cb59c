-- record_withdrawn: keep a trace of deliveries whose rows were withdrawn without one while they were on their way.
-- A change of a schedule forgets what is still ahead; a dispatcher that holds it may start it in the moments before the
-- change commits and is heard of. That it was delivered must be known all the same.
-- A row that is queued, or has ended, was claimed by another since: its word counts, and nothing is written.
INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count, fired_at,
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
ON CONFLICT DO NOTHING
