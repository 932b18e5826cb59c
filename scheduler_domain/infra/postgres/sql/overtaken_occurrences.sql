-- overtaken_occurrences: of these ($1 to $4), those after which another instant of their schedule was due before $5.
-- It may be queued, or have ended already, or not be planned yet: whoever comes to it finds the same.
SELECT o.id
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS o (tenant_id, schedule_id, id, scheduled_for)
WHERE EXISTS (
    SELECT FROM due_queue AS q
    WHERE q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.kind = 'SCHEDULED'
      AND q.requested_at IS NULL AND q.scheduled_for > o.scheduled_for AND q.due_at < $5::timestamptz)
  OR EXISTS (
    SELECT FROM ledger AS l
    WHERE l.tenant_id = o.tenant_id AND l.schedule_id = o.schedule_id AND l.kind = 'SCHEDULED'
      AND l.scheduled_for > o.scheduled_for AND l.due_at < $5::timestamptz AND l.status <> 'CANCELLED')
  OR EXISTS (
    SELECT FROM schedule_cursor AS c
    WHERE c.tenant_id = o.tenant_id AND c.schedule_id = o.schedule_id AND c.next_fire_at < $5::timestamptz)
