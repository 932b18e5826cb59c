-- hold_template: lock a template, so that no instance is made from it and nobody else changes it until this is done.
SELECT version, document, created_at, updated_at, replan_after, replan_total, replan_done, replan_failed
FROM template
WHERE tenant_id = $1::text AND name = $2::text
FOR UPDATE
