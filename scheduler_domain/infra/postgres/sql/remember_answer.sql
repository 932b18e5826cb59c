-- remember_answer: keep an answer in the transaction that makes it true, so that both are kept or neither.
-- A request with the same key at the same time waits here for the first one's commit. An answer older than $7 is
-- overwritten; answers with nothing where a younger one stands.
INSERT INTO idempotent_request (tenant_id, key, fingerprint, status, headers, body, created_at)
VALUES ($1::text, $2::text, $3::bytea, $4::smallint, $5::json, $6::text, now())
ON CONFLICT (tenant_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body,
    created_at = excluded.created_at
WHERE idempotent_request.created_at < $7::timestamptz
RETURNING key
