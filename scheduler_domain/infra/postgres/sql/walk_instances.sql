-- walk_instances: the next $4 instances of a template ($2) by key after $3, with what made them.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT i.key, i.schedule_id, i.template_version, i.parameters
  FROM template_instance AS i
  WHERE i.tenant_id = tenant.id AND i.template = $2::text AND i.key > $3::text
  ORDER BY i.key
  LIMIT $4::integer) AS found
