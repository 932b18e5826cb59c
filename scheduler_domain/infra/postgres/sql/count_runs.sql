-- count_runs: how many occurrences of its plan a schedule has had ($2).
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.run_count
FROM tenant
CROSS JOIN LATERAL (
  SELECT c.run_count FROM schedule_cursor AS c
  WHERE c.tenant_id = tenant.id AND c.schedule_id = $2::uuid
  LIMIT 1) AS found
