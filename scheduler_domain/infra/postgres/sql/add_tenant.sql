-- add_tenant: store a tenant ($1) with its weight ($2), made at $3; no row where it is stored already.
WITH platform AS MATERIALIZED (SELECT set_config('app.platform', 'on', true) AS setting)
INSERT INTO tenant (id, weight, created_at, updated_at)
SELECT $1::text, $2::double precision, $3::timestamptz, $3::timestamptz
FROM platform
ON CONFLICT DO NOTHING
RETURNING version
