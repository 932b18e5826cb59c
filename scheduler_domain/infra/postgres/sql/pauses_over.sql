-- pauses_over: schedules whose pause named an end that has come, and the database's clock by which it has.
SELECT s.tenant_id, s.id, c.revision, c.rule, c.created_at, c.run_count, c.repeats_until, s.resume_at,
       now() AS now
FROM schedule AS s
JOIN schedule_cursor AS c ON c.tenant_id = s.tenant_id AND c.schedule_id = s.id
WHERE s.resume_at <= now()
ORDER BY s.resume_at
LIMIT $1::integer
