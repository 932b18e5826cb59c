-- remember_origin: say what made a held schedule, by now. No row where it is no instance of the template, or where it
-- was not made by version $6 and parameters $7 any more, if these are given.
UPDATE template_instance
SET template_version = $4::integer, parameters = $5::json, problem = NULL
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND template = $3::text
  AND ($6::integer IS NULL OR (template_version = $6::integer AND parameters::text = $7::text))
RETURNING key
