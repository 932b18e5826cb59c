-- read_templates: the templates of a tenant by name, or the one named $2.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT t.name, t.version, t.document, t.created_at, t.updated_at, t.replan_after, t.replan_total, t.replan_done,
         t.replan_failed
  FROM template AS t
  WHERE t.tenant_id = tenant.id AND (t.name = $2::text OR $2::text IS NULL)
  ORDER BY t.name
  LIMIT $3::integer) AS found
