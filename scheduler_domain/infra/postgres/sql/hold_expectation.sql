-- hold_expectation: lock an unfinished occurrence ($3) and tell what it expects of its receiver.
-- A callback is awaited until the attempt's start_tag; and it may come before the attempt is recorded as accepted, so that
-- one of an attempt that is under way is taken too. The clock is the database's, as for leases.
SELECT CASE WHEN q.awaiting_since IS NULL
            THEN q.lease_until > clock_timestamp() AND greatest(q.due_at, q.start_tag) <= clock_timestamp()
            ELSE q.start_tag > clock_timestamp() END AS is_awaited,
       q.awaiting_since IS NOT NULL AS is_accepted,
       q.callback_succeeded AS said,
       q.attempt_count + 1 AS attempt
FROM due_queue AS q
WHERE q.tenant_id = $1::text AND q.schedule_id = $2::uuid AND q.id = $3::uuid
FOR UPDATE
