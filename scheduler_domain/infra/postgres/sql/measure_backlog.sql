-- measure_backlog: how much is due and not done, counted up to a bound, and how old the oldest is.
SELECT count(*) AS due_count, date_part('epoch', now() - min(due_at))::float8 AS oldest_age
FROM (SELECT due_at FROM due_queue WHERE shard = 0 AND start_tag <= now() ORDER BY start_tag LIMIT 100000) AS due
