-- replace_template: make a held template its next version ($3) and let its instances, if there are any, follow it from the first.
-- A walk that has not ended begins anew: what it has reached is of a version that is no longer the newest.
UPDATE template AS t
SET document = $3::json, version = t.version + 1, updated_at = now(), replan_done = 0, replan_failed = 0,
    replan_until = '-infinity',
    replan_total = instances.number,
    replan_after = CASE WHEN instances.number > 0 THEN '' END
FROM (SELECT count(*)::integer AS number FROM template_instance AS i WHERE i.tenant_id = $1::text AND i.template = $2::text) AS instances
WHERE t.tenant_id = $1::text AND t.name = $2::text
RETURNING t.version, t.created_at, t.updated_at, t.replan_after, t.replan_total, t.replan_done, t.replan_failed
