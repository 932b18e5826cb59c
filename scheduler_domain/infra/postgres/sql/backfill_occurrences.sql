-- backfill_occurrences: queue backfills ($3) for instants of the past which did not run, under either of their names.
-- Present is what is queued, was delivered, or is a dead letter, as a backfill or as an occurrence of the plan ($4).
-- A backfill that was withdrawn (a pause, by hand) returns: its row moves from the ledger, as that of a replay does.
-- The caller holds the schedule, so no two backfills of it come between looking and writing.
-- Asked for after the pause that is seen here, whichever clock said when that was: so it does not hold them back.
-- Due in their place of the catch-up lane ($6 from now), by this database's clock: so they are no late occurrences.
WITH wanted AS (
  SELECT o.id, o.scheduled_for, now() + o.wait AS due_at
  FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::interval[]) AS o (id, planned_id, scheduled_for, wait)
  WHERE NOT EXISTS (
      SELECT FROM due_queue AS q
      WHERE q.tenant_id = $1::text AND q.schedule_id = $2::uuid AND q.id IN (o.id, o.planned_id))
    AND NOT EXISTS (
      SELECT FROM ledger AS l
      WHERE l.tenant_id = $1::text AND l.id IN (o.id, o.planned_id) AND l.status IN ('COMPLETED', 'FAILED'))
), returned AS (
  DELETE FROM ledger AS l USING wanted
  WHERE l.tenant_id = $1::text AND l.id = wanted.id
  RETURNING l.id, l.attempt_count, l.fired_at, l.lease_token
), queued AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, lease_token,
                         attempt_count, first_fired_at, requested_at, earlier_attempt_count)
  SELECT s.tenant_id, s.id, wanted.id, 'BACKFILL', s.revision, wanted.scheduled_for, wanted.due_at, wanted.due_at,
         CASE WHEN returned.id IS NULL THEN 0 ELSE coalesce(returned.lease_token, 1 << 30) + 1 END,
         coalesce(returned.attempt_count, 0), CASE WHEN returned.fired_at IS NOT NULL THEN wanted.due_at END,
         greatest(clock_timestamp(), s.paused_at + interval '1 microsecond'),
         coalesce(returned.attempt_count, 0)
  FROM schedule AS s
  CROSS JOIN wanted
  LEFT JOIN returned ON returned.id = wanted.id
  WHERE s.tenant_id = $1::text AND s.id = $2::uuid
  ON CONFLICT DO NOTHING
  RETURNING id
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('scheduler_due', '') END FROM queued
