-- find_answer: what was answered under an idempotency key ($2) since $3.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT r.key, r.fingerprint, r.status, r.headers, r.body
  FROM idempotent_request AS r
  WHERE r.tenant_id = tenant.id AND r.key = $2::text AND r.created_at >= $3::timestamptz
  LIMIT 1) AS found
