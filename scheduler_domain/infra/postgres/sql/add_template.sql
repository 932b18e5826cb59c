-- add_template: store a tenant's template ($2, $3); no row where the name is taken, or the tenant has $4 already.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
INSERT INTO template (tenant_id, name, document, created_at, updated_at)
SELECT tenant.id, $2::text, $3::json, $5::timestamptz, $5::timestamptz
FROM tenant
WHERE (SELECT count(*) FROM template AS t WHERE t.tenant_id = tenant.id) < $4::integer
ON CONFLICT DO NOTHING
RETURNING version
