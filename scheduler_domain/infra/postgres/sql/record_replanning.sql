-- record_replanning: keep how far a walk over the instances of a template ($2) has come: from $4 to $5, NULL at its end.
-- Nothing is kept of a walk that is not the one any more: the template has another version than $3, or somebody was
-- faster. Instances that could not follow ($8) say why ($9); they stay as they are.
WITH reached AS (
  UPDATE template
  SET replan_after = $5::text, replan_done = replan_done + $6::integer, replan_failed = replan_failed + $7::integer,
      replan_until = '-infinity'
  WHERE tenant_id = $1::text AND name = $2::text AND version = $3::integer AND replan_after = $4::text
  RETURNING tenant_id
), told AS (
  UPDATE template_instance AS i
  SET problem = u.problem
  FROM reached, unnest($8::text[], $9::text[]) AS u (key, problem)
  WHERE i.tenant_id = $1::text AND i.template = $2::text AND i.key = u.key
)
SELECT count(*) AS number FROM reached
