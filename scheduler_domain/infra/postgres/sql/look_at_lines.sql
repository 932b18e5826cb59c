-- look_at_lines: how leased occurrences stand in the lines of their schedules; a lease that is not ours comes back missing.
-- One that ended is not ours either, although nobody has claimed the row since: it may be ourselves who gave it back, by
-- a commit whose answer was lost.
-- Ahead is what has started and not ended, and what is due by $5 and comes first: what a person asked for after all
-- others, then by instant and id (domain/overlap.py). The caller holds the lines (lock_lines). Two are as many as
-- matter: the LIMIT keeps a long line from being counted.
SELECT q.id,
       (SELECT count(*) FROM (
          SELECT FROM due_queue AS r
          WHERE r.tenant_id = q.tenant_id AND r.schedule_id = q.schedule_id AND r.id <> q.id
            AND (r.admitted_at IS NOT NULL
                 OR r.due_at <= $5::timestamptz
                    AND (r.requested_at IS NOT NULL, r.due_at, r.id) < (q.requested_at IS NOT NULL, q.due_at, q.id))
          LIMIT 2) AS ahead) AS ahead_count,
       q.admitted_at IS NOT NULL AS has_started,
       q.awaiting_since IS NOT NULL AS is_awaiting,
       coalesce(q.awaiting_since, q.first_fired_at) AS began_at,
       q.called_back_at, q.callback_succeeded, q.callback_message
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[]) AS o (tenant_id, schedule_id, id, lease_token)
JOIN due_queue AS q
  ON q.tenant_id = o.tenant_id AND q.schedule_id = o.schedule_id AND q.id = o.id AND q.lease_token = o.lease_token
WHERE q.lease_until > now()
