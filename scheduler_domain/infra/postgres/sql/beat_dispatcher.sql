-- beat_dispatcher: this dispatcher lives and has obeyed these revocations; answers with the database's clock.
UPDATE dispatcher SET heartbeat_at = now(), obeyed = $2::bigint[] WHERE id = $1::integer RETURNING clock_timestamp()
