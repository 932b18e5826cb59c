-- lift_pause: make a schedule active again from the end of its pause ($8) on, unless somebody changed it meanwhile.
-- Without an instant to come ($4) nothing is left of it.
-- What the pause left to holders is no part of the new plan: it leaves the queue now, as on a resume by hand, and last,
-- since nothing reads it here (lock_order.py). What may be under way goes on; where the end of it decides when a
-- schedule that runs from completion ($7) is due next, nothing else does. From a last one nothing follows.
WITH lifted AS (
  UPDATE schedule AS s
  SET state = CASE WHEN $4::timestamptz IS NULL THEN 'COMPLETED' ELSE 'ACTIVE' END,
      state_reason = NULL, resume_at = NULL, paused_at = NULL, version = s.version + 1, updated_at = now()
  WHERE s.tenant_id = $1::text AND s.id = $2::uuid AND s.revision = $3::integer
    AND s.resume_at = $8::timestamptz
  RETURNING s.tenant_id, s.id
), left_behind AS (
  SELECT q.tenant_id, q.schedule_id, q.id
  FROM lifted
  CROSS JOIN LATERAL (
    SELECT tenant_id, schedule_id, id FROM due_queue
    WHERE tenant_id = lifted.tenant_id AND schedule_id = lifted.id AND kind = 'SCHEDULED'
      AND requested_at IS NULL AND awaiting_since IS NULL AND NOT (lease_until > now() AND due_at <= now())
    ORDER BY id
    FOR UPDATE) AS q
), remains AS (
  DELETE FROM due_queue AS q USING left_behind AS l
  WHERE q.tenant_id = l.tenant_id AND q.schedule_id = l.schedule_id AND q.id = l.id
  RETURNING q.*
), cancelled AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, reason, attempt_count,
                      fired_at, ended_at, lease_token)
  SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, 'CANCELLED', 'schedule-paused',
         attempt_count, first_fired_at, now(), lease_token
  FROM remains
  WHERE scheduled_for < $8::timestamptz OR first_fired_at IS NOT NULL  -- the others are planned again
  ON CONFLICT DO NOTHING
)
UPDATE schedule_cursor AS c
SET next_fire_at = CASE WHEN NOT $7::boolean OR NOT EXISTS (
      SELECT FROM due_queue AS q
      WHERE q.tenant_id = c.tenant_id AND q.schedule_id = c.schedule_id AND q.kind = 'SCHEDULED'
        AND q.requested_at IS NULL AND NOT q.is_last
        AND (q.awaiting_since IS NOT NULL OR q.lease_until > now() AND q.due_at <= now())) THEN $4::timestamptz END,
    checkpoint = NULL, in_force_since = $8::timestamptz, next_order_ms = $5::bigint, tzdata = $6::text
FROM lifted
WHERE c.tenant_id = lifted.tenant_id AND c.schedule_id = lifted.id AND c.next_fire_at IS NULL
