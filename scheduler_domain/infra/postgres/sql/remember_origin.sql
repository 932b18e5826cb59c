-- remember_origin: say what made a held schedule, by now. Nothing is said of a schedule that is no instance of it.
UPDATE template_instance
SET template_version = $4::integer, parameters = $5::json, problem = NULL
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND template = $3::text
