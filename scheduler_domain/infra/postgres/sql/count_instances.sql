-- count_instances: how many instances a template ($2) has, counted up to $3.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT count(*) AS number
FROM tenant
CROSS JOIN LATERAL (
  SELECT 1 FROM template_instance AS i WHERE i.tenant_id = tenant.id AND i.template = $2::text LIMIT $3::integer) AS counted
