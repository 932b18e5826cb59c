-- read_instances: instances of a template ($2) in the order of their keys, from $3 (or after it, $4), $6 further on,
-- at most $5, as they stand. The page is found first: what costs a look-up per schedule is asked for the page only.
-- All of it within LATERAL with LIMIT, which cannot run before the tenant is set.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT found.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT page.*, s.version AS schedule_version, s.state, s.created_at, s.updated_at,
         least(c.next_fire_at,
               (SELECT min(q.scheduled_for) FROM due_queue AS q
                WHERE q.tenant_id = tenant.id AND q.schedule_id = page.schedule_id AND q.kind = 'SCHEDULED'
                  AND q.first_fired_at IS NULL)) AS next_fire_at
  FROM (SELECT i.key, i.schedule_id, i.template_version, i.parameters, i.problem
        FROM template_instance AS i
        WHERE i.tenant_id = tenant.id AND i.template = $2::text AND i.key >= $3::text
          AND (i.key > $3::text OR NOT $4::boolean)
        ORDER BY i.key
        OFFSET $6::integer
        LIMIT $5::integer) AS page
  JOIN schedule AS s ON s.tenant_id = tenant.id AND s.id = page.schedule_id
  JOIN schedule_cursor AS c ON c.tenant_id = tenant.id AND c.schedule_id = page.schedule_id
  ORDER BY page.key
  LIMIT $5::integer) AS found
