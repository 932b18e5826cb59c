-- beat_dispatcher: this dispatcher lives and has obeyed these revocations; answers with the database's clock.
-- Written anew where housekeeping took the row away: a process that was stopped for that long goes on under its number.
-- Every heartbeat passes by the one row of presence, one after the other: the first after $4 without any ends an absence,
-- and all that follow are told the same of it, in epoch seconds. Not by now(), which is from before a wait for the row.
WITH seen AS (
  UPDATE presence
  SET absent_from = CASE WHEN clock_timestamp() > seen_at + $4::interval THEN seen_at ELSE absent_from END,
      absent_until = CASE WHEN clock_timestamp() > seen_at + $4::interval THEN clock_timestamp() ELSE absent_until END,
      seen_at = clock_timestamp()
  RETURNING absent_from, absent_until
), beaten AS (
  INSERT INTO dispatcher (id, name, obeyed) OVERRIDING SYSTEM VALUE VALUES ($1::integer, $3::text, $2::bigint[])
  ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), obeyed = excluded.obeyed
)
SELECT clock_timestamp() AS now, date_part('epoch', absent_from) AS began, date_part('epoch', absent_until) AS ended
FROM seen
