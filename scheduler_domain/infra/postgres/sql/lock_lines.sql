-- lock_lines: let nobody else start, or wake, an occurrence of these schedules until this transaction ends.
-- A statement of its own, before any look: only what comes after it sees what the last holder of the lock decided.
-- In the order of the keys, so that two batches never wait for each other. A lock on a number and not on a row: an edit
-- of the schedule locks the row, and must not wait for this. Two schedules with one number only wait in vain.
SELECT pg_advisory_xact_lock(line.number)
FROM (SELECT DISTINCT hashtextextended(tenant_id || '/' || schedule_id::text, 0) AS number
      FROM unnest($1::text[], $2::uuid[]) AS o (tenant_id, schedule_id)
      ORDER BY number) AS line
