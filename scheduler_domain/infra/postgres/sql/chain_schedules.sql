-- chain_schedules: a schedule that runs from completion is due again, a delay after its occurrence ended.
-- Not while it is paused, completed or disabled: whoever makes it active again decides when it is due.
-- Nor where an edit has planned the next meanwhile, which is in the queue by now under a later revision than the one ($4)
-- that has ended: it was left to its holder, and started before that let go. Two chains would run otherwise.
UPDATE schedule_cursor AS c
SET next_fire_at = o.next_fire_at
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::integer[])
       AS o (tenant_id, schedule_id, next_fire_at, revision)
JOIN schedule AS s ON s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.state = 'ACTIVE'
WHERE c.tenant_id = o.tenant_id AND c.schedule_id = o.schedule_id AND c.next_fire_at IS NULL
  AND NOT EXISTS (
    SELECT FROM due_queue AS q
    WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.kind = 'SCHEDULED'
      AND q.revision > o.revision)
