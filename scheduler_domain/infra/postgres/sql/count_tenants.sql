-- count_tenants: how many tenants are stored, counted up to $1.
WITH platform AS MATERIALIZED (SELECT set_config('app.platform', 'on', true) AS setting)
SELECT count(*) AS number
FROM platform
CROSS JOIN LATERAL (SELECT 1 FROM tenant WHERE platform.setting = 'on' LIMIT $1::integer) AS counted
