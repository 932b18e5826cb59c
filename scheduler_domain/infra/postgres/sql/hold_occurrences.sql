-- hold_occurrences: lock what a schedule has in the queue. Third and last in the lock order: schedule, cursor, queue.
-- In id order, so that two holders would never wait for each other; a claim passes by (SKIP LOCKED). No lease is shown as one
-- that ended long ago: the driver has no instant for -infinity.
SELECT id, kind, scheduled_for, due_at, greatest(lease_until, to_timestamp(0)) AS lease_until, leased_by,
       first_fired_at IS NOT NULL AS was_tried, start_tag, is_last, requested_at IS NOT NULL AS is_requested,
       awaiting_since IS NOT NULL AS is_awaiting
FROM due_queue
WHERE tenant_id = $1::text AND schedule_id = $2::uuid
ORDER BY id
FOR UPDATE
