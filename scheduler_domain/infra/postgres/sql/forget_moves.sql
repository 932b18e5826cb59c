-- forget_moves: at most $2 of what a tz database moved longer than $1 ago, oldest first; how many went.
WITH forgotten AS (
  DELETE FROM tzdata_move AS m
  USING (SELECT tenant_id, schedule_id, version, occurrence_id FROM tzdata_move
         WHERE moved_at < now() - $1::interval
         ORDER BY moved_at
         LIMIT $2::integer) AS old
  WHERE m.tenant_id = old.tenant_id AND m.schedule_id = old.schedule_id AND m.version = old.version
    AND m.occurrence_id = old.occurrence_id
  RETURNING 1
)
SELECT count(*) FROM forgotten
