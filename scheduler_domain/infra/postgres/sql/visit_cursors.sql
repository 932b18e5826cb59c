-- visit_cursors: of the next $3 cursors by key after ($1, $2), those of another edition than $4, at most $5 of them.
-- The last row, of the edition (`is_other` false), is how far was looked; without any row there are no more cursors.
-- A walk by the primary key, because an index on the edition would be written with each planning.
WITH visited AS MATERIALIZED (
  SELECT tenant_id, schedule_id, tzdata IS DISTINCT FROM $4::text AS is_other
  FROM schedule_cursor
  WHERE (tenant_id, schedule_id) > ($1::text, $2::uuid)
  ORDER BY tenant_id, schedule_id
  LIMIT $3::integer
)
(SELECT tenant_id, schedule_id, true AS is_other FROM visited WHERE is_other
 ORDER BY tenant_id, schedule_id LIMIT $5::integer)
UNION ALL
(SELECT tenant_id, schedule_id, false FROM visited ORDER BY tenant_id DESC, schedule_id DESC LIMIT 1)
