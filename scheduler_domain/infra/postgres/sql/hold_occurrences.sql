-- hold_occurrences: lock what a schedule of revision $3 has in the queue. Third and last in the lock order: schedule,
-- cursor, queue. In id order, so that two holders would never wait for each other; a claim passes by (SKIP LOCKED).
-- What an earlier edit left to its holders is part of the plan no more: it has another revision, and the next claim ends it.
-- No lease is shown as one that ended long ago: the driver has no instant for -infinity.
SELECT id, kind, scheduled_for, due_at, greatest(lease_until, to_timestamp(0)) AS lease_until, leased_by,
       first_fired_at IS NOT NULL AS was_tried, start_tag, is_last, requested_at IS NOT NULL AS is_requested,
       awaiting_since IS NOT NULL AS is_awaiting
FROM due_queue
WHERE tenant_id = $1::text AND schedule_id = $2::uuid
  AND (revision = $3::integer OR first_fired_at IS NOT NULL OR kind <> 'SCHEDULED')
ORDER BY id
FOR UPDATE
