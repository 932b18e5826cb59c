-- wake_lines: the next in each of these lines asks for its turn at once; told with the commit of what it waited for.
-- Waiting is what is due, was given back, and has not been tried, or was asked for anew since. The caller holds the lines
-- (lock_lines), so nobody is about to be given back unseen. SKIP LOCKED because a row that an edit holds is decided by the
-- edit; it asks by itself later.
-- Mostly it is leased again by then, for claims reach further ahead than most waits. Its lease is taken, as a callback takes
-- one (note_callback): the holder asks when the tag has come, or renews before that, and finds it lost. It cannot have
-- started it: what is tagged more than $3 after its instant goes out at its tag and not before (prepare_delivery.py).
-- What is leased and tagged closer than that asks by itself right now, or had started before an edit made it stand in line.
-- So -infinity is true of a lease that is taken here, and may_have_started is not to be set.
WITH line AS (
  SELECT DISTINCT tenant_id, schedule_id FROM unnest($1::text[], $2::uuid[]) AS o (tenant_id, schedule_id)
), next AS (
  SELECT waiting.*
  FROM line
  CROSS JOIN LATERAL (
    SELECT q.tenant_id, q.schedule_id, q.id
    FROM due_queue AS q
    WHERE q.tenant_id = line.tenant_id AND q.schedule_id = line.schedule_id AND q.due_at <= now()
      AND q.start_tag > now() AND q.admitted_at IS NULL AND q.awaiting_since IS NULL
      AND (q.lease_until = '-infinity' OR q.start_tag > q.due_at + $3::interval)
      AND (q.first_fired_at IS NULL OR q.requested_at IS NOT NULL)
    ORDER BY q.requested_at IS NOT NULL, q.due_at, q.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED) AS waiting
), woken AS (
  UPDATE due_queue AS q
  SET start_tag = now(), lease_until = '-infinity', leased_by = NULL, lease_token = q.lease_token + 1
  FROM next
  WHERE q.tenant_id = next.tenant_id AND q.schedule_id = next.schedule_id AND q.id = next.id
  RETURNING q.id
)
SELECT id, pg_notify('scheduler_due', '') FROM woken
