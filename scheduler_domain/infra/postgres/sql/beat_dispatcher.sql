-- beat_dispatcher: this dispatcher lives and has obeyed these revocations; answers with the database's clock.
-- Written anew where housekeeping took the row away: a process that was stopped for that long goes on under its number.
INSERT INTO dispatcher (id, name, obeyed) OVERRIDING SYSTEM VALUE VALUES ($1::integer, $3::text, $2::bigint[])
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), obeyed = excluded.obeyed
RETURNING clock_timestamp()
