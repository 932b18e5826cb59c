-- replay_occurrences: move dead letters ($2) back to the queue, under the ids and keys that they have.
-- The row moves: kept in the ledger as well, it would stand in the way of its own second end. One statement, so there is
-- never both and never neither, whoever is killed when.
-- FOR SHARE because the deletion of a schedule must either be seen or wait; in id order, as every replay locks them.
-- The attempt that ended it joins the earlier ones, and numbers go on; but the retry policy begins anew ($4 bounds how
-- often). The lease token starts above all that were ever given out for it, so that no late outcome ends it again.
-- Asked for after the pause that is seen here, whichever clock said when that was: so it does not hold them back.
-- $3: how long each waits for its place in the catch-up lane, by this database's clock.
WITH wanted AS (
  SELECT o.id, o.wait, l.schedule_id
  FROM unnest($2::uuid[], $3::interval[]) AS o (id, wait)
  CROSS JOIN LATERAL (
    SELECT schedule_id FROM ledger
    WHERE tenant_id = $1::text AND id = o.id AND status = 'FAILED' AND attempt_count < $4::integer
    LIMIT 1) AS l
), living AS MATERIALIZED (
  SELECT s.id, s.paused_at FROM schedule AS s
  WHERE s.tenant_id = $1::text AND s.id = ANY (ARRAY(SELECT schedule_id FROM wanted)) AND s.state <> 'DISABLED'
  ORDER BY s.id
  FOR SHARE
), taken AS (
  DELETE FROM ledger AS l USING wanted, living
  WHERE l.tenant_id = $1::text AND l.id = wanted.id AND l.status = 'FAILED' AND living.id = wanted.schedule_id
  RETURNING l.*, wanted.wait, living.paused_at
), kept AS (
  INSERT INTO attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome, status_code, error,
                       response_excerpt)
  SELECT tenant_id, id, attempt_count, fired_at, coalesce(duration_ms, 0), 'FAILED', status_code, error, response_excerpt
  FROM taken
  WHERE fired_at IS NOT NULL
  ON CONFLICT DO NOTHING
), queued AS (
  INSERT INTO due_queue (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, lease_token,
                         attempt_count, first_fired_at, requested_at, earlier_attempt_count)
  SELECT tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, now() + wait,
         coalesce(lease_token, 1 << 30) + 1, attempt_count,
         coalesce(due_at + lateness_ms * interval '1 ms', fired_at, ended_at),
         greatest(clock_timestamp(), paused_at + interval '1 microsecond'), attempt_count
  FROM taken
  ON CONFLICT DO NOTHING
)
SELECT id, pg_notify('scheduler_due', '') FROM taken
