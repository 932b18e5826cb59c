-- callback_unrecorded: whether what was called back for this occurrence has yet to be recorded.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.id
FROM tenant
CROSS JOIN LATERAL (
  SELECT q.id FROM due_queue AS q
  WHERE q.tenant_id = tenant.id AND q.schedule_id = $2::uuid AND q.id = $3::uuid AND q.called_back_at IS NOT NULL
  LIMIT 1) AS found
