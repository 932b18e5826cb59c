-- forget_requests: at most $2 of the answers that were given longer than $1 ago, oldest first; how many went.
-- The age is asked of the row as well, since a key that is used again has its row overwritten (remember_answer).
WITH forgotten AS (
  DELETE FROM idempotent_request AS r
  USING (SELECT tenant_id, key FROM idempotent_request
         WHERE created_at < now() - $1::interval
         ORDER BY created_at
         LIMIT $2::integer) AS old
  WHERE r.tenant_id = old.tenant_id AND r.key = old.key AND r.created_at < now() - $1::interval
  RETURNING 1
)
SELECT count(*) FROM forgotten
