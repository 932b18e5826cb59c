-- read_weights: the weights of tenants after $1 that weigh another than 1, in the order of their ids, at most $2.
-- For the API and for dispatchers: the setting opens the table to the one, and the other may read it anyway.
WITH platform AS MATERIALIZED (SELECT set_config('app.platform', 'on', true) AS setting)
SELECT found.id, found.weight
FROM platform
CROSS JOIN LATERAL (
  SELECT t.id, t.weight
  FROM tenant AS t
  WHERE platform.setting = 'on' AND t.weight <> 1 AND t.id > $1::text
  ORDER BY t.id
  LIMIT $2::integer) AS found
