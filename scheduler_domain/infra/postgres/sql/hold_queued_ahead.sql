-- hold_queued_ahead: lock what these schedules have planned, nobody holds and is not due at $3. Locked after the cursors.
-- Only what was never leased or given back: whoever let a lease run out may fire at the old instant yet.
-- LIMIT keeps it one lookup a schedule, whatever the statistics; no schedule has that many planned ahead.
-- SKIP LOCKED because a row that is being claimed is about to be held, and then fires as planned.
SELECT q.*
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, schedule_id)
CROSS JOIN LATERAL (
  SELECT tenant_id, schedule_id, id, scheduled_for, due_at, start_tag, is_last
  FROM due_queue
  WHERE tenant_id = k.tenant_id AND schedule_id = k.schedule_id AND kind = 'SCHEDULED' AND first_fired_at IS NULL
    AND lease_until = '-infinity' AND due_at > $3::timestamptz
  ORDER BY id
  LIMIT 100000
  FOR UPDATE SKIP LOCKED) AS q
