-- read_tenants: stored tenants in the order of their ids, from $1 (or after it, $2), $4 further on, at most $3.
-- All of it within LATERAL with LIMIT and bound to the setting, which cannot run before the setting is made.
WITH platform AS MATERIALIZED (SELECT set_config('app.platform', 'on', true) AS setting)
SELECT found.*
FROM platform
CROSS JOIN LATERAL (
  SELECT t.id, t.weight, t.version, t.created_at, t.updated_at
  FROM tenant AS t
  WHERE platform.setting = 'on' AND t.id >= $1::text AND (t.id > $1::text OR NOT $2::boolean)
  ORDER BY t.id
  OFFSET $4::integer
  LIMIT $3::integer) AS found
