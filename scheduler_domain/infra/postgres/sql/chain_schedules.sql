-- chain_schedules: a schedule that runs from completion is due again ($6), a delay after its occurrence ended.
-- Not while it is paused, completed or disabled: whoever makes it active again decides when it is due. Nor where an edit
-- has made it run by the clock meanwhile.
-- Two chains would run where something else is next already. That is so if a later occurrence of its plan is queued, and
-- if an edit left the one that has ended ($3 to $5) to its holder, who started it before it let go: such a row was not
-- tried before and kept its revision, while what an edit found under way has that of the edit (carry_over_occurrences).
UPDATE schedule_cursor AS c
SET next_fire_at = o.next_fire_at
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::boolean[], $6::timestamptz[])
       AS o (tenant_id, schedule_id, scheduled_for, revision, was_tried, next_fire_at)
JOIN schedule AS s ON s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.state = 'ACTIVE'
  AND (o.was_tried OR o.revision = s.revision)
WHERE c.tenant_id = o.tenant_id AND c.schedule_id = o.schedule_id AND c.next_fire_at IS NULL
  AND c.rule #>> '{trigger,anchor}' = 'COMPLETION'
  AND NOT EXISTS (
    SELECT FROM due_queue AS q
    WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.kind = 'SCHEDULED'
      AND q.requested_at IS NULL AND q.scheduled_for > o.scheduled_for
      AND (q.first_fired_at IS NOT NULL OR q.revision = s.revision))
