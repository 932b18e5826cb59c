-- latest_moves: the occurrences that editions of the tz database moved last, newest first.
SELECT m.tenant_id, m.schedule_id, s.name, m.version, m.was_at, m.is_at, m.moved_at
FROM (SELECT * FROM tzdata_move ORDER BY moved_at DESC LIMIT $1::integer) AS m
LEFT JOIN schedule AS s ON s.tenant_id = m.tenant_id AND s.id = m.schedule_id
ORDER BY m.moved_at DESC, m.tenant_id, m.schedule_id, m.is_at
