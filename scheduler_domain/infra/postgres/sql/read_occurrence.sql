-- read_occurrence: one occurrence by id, unfinished or ended, with its attempts in order.
-- The queue is keyed by schedule, which an id does not tell: its unfinished rows are searched within the tenant.
-- Read in one snapshot, so an occurrence on its way from queue to ledger is never in neither.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*, tried.attempts
FROM tenant
CROSS JOIN LATERAL (
  SELECT l.id, l.schedule_id, l.kind, l.revision, l.scheduled_for, l.due_at, l.status, l.reason, l.attempt_count,
         l.fired_at, l.ended_at, l.duration_ms, l.lateness_ms, l.status_code, l.error, l.response_excerpt,
         NULL::timestamptz AS next_attempt_at
  FROM ledger AS l
  WHERE l.tenant_id = tenant.id AND l.id = $2::uuid
  UNION ALL
  SELECT q.id, q.schedule_id, q.kind, q.revision, q.scheduled_for, q.due_at,
         CASE WHEN q.awaiting_since IS NOT NULL
                OR q.lease_until > now() AND greatest(q.due_at, q.start_tag) <= now() THEN 'PROCESSING'
              ELSE 'PENDING' END,
         NULL, q.attempt_count, q.first_fired_at, NULL, NULL,
         (date_part('epoch', q.first_fired_at - q.due_at) * 1000)::bigint, NULL, NULL, NULL,
         CASE WHEN q.awaiting_since IS NOT NULL
                OR q.lease_until > now() AND greatest(q.due_at, q.start_tag) <= now() THEN NULL
              WHEN q.first_fired_at IS NULL THEN q.due_at
              ELSE q.start_tag END
  FROM due_queue AS q
  WHERE q.tenant_id = tenant.id AND q.id = $2::uuid
  LIMIT 1) AS found
LEFT JOIN LATERAL (
  SELECT json_agg(json_build_object(
           'number', a.number, 'started_at', a.started_at, 'duration_ms', a.duration_ms, 'outcome', a.outcome,
           'status_code', a.status_code, 'error', a.error, 'response_excerpt', a.response_excerpt)
           ORDER BY a.number) AS attempts
  FROM attempt AS a
  WHERE a.tenant_id = tenant.id AND a.occurrence_id = found.id
  LIMIT 1) AS tried ON true
