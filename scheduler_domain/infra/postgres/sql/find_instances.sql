-- find_instances: of these keys ($3) of a template ($2), those that are instances, with what made them.
-- This alone is what a repeated import costs: a line that says nothing new is compared with it and let go.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN unnest($3::text[]) AS wanted (key)
CROSS JOIN LATERAL (
  SELECT i.key, i.schedule_id, i.template_version, i.parameters
  FROM template_instance AS i
  WHERE i.tenant_id = tenant.id AND i.template = $2::text AND i.key = wanted.key
  LIMIT 1) AS found
