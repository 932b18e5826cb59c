-- complete_after_last: the last occurrence ($3 to $5) of these has ended, so that nothing is left of them.
-- Whatever revision it was planned under: a schedule is edited while its last occurrence waits for a retry, and often
-- because of it. What an edit gave it to do keeps it alive: an instant to plan, or a later last occurrence, which
-- completes it instead; and a chain goes on with any that is not its last.
-- A row that an edit left to its holder is the last of a plan that is no more (chain_schedules).
UPDATE schedule AS s
SET state = 'COMPLETED', version = s.version + 1, updated_at = now()
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::boolean[])
       AS o (tenant_id, schedule_id, scheduled_for, revision, was_tried)
JOIN schedule_cursor AS c ON c.tenant_id = o.tenant_id AND c.schedule_id = o.schedule_id AND c.next_fire_at IS NULL
WHERE s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.state = 'ACTIVE'
  AND (o.was_tried OR o.revision = s.revision)
  AND NOT EXISTS (
    SELECT FROM due_queue AS q
    WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.kind = 'SCHEDULED'
      AND q.requested_at IS NULL AND (q.first_fired_at IS NOT NULL OR q.revision = s.revision)
      AND CASE WHEN q.is_last THEN q.scheduled_for > o.scheduled_for
               ELSE c.rule #>> '{trigger,anchor}' = 'COMPLETION' END)
