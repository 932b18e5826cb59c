-- lift_pause: make a schedule active again from now on, unless somebody changed it meanwhile.
-- Without an instant to come ($4) nothing is left of it.
WITH lifted AS (
  UPDATE schedule AS s
  SET state = CASE WHEN $4::timestamptz IS NULL THEN 'COMPLETED' ELSE 'ACTIVE' END,
      state_reason = NULL, resume_at = NULL, paused_at = NULL, version = s.version + 1, updated_at = now()
  WHERE s.tenant_id = $1::text AND s.id = $2::uuid AND s.revision = $3::integer AND s.resume_at <= now()
  RETURNING s.tenant_id, s.id
)
UPDATE schedule_cursor AS c
SET next_fire_at = $4::timestamptz, checkpoint = NULL, in_force_since = now(), next_order_ms = $5::bigint, tzdata = $6::text
FROM lifted
WHERE c.tenant_id = lifted.tenant_id AND c.schedule_id = lifted.id AND c.next_fire_at IS NULL
