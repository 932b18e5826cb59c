"""The three database roles, and the schema that the owner owns: made before the first migration."""

OWNER, APP, DISPATCH = "scheduler_owner", "scheduler_app", "scheduler_dispatch"

# Roles belong to the whole server: another database may hold them already, or make them at this very moment.
MAKE_ROLES = """
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['scheduler_owner', 'scheduler_app', 'scheduler_dispatch'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
    END IF;
    IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END IF;
  END LOOP;
END $$
"""

MAKE_SCHEMA = ("CREATE SCHEMA IF NOT EXISTS scheduler AUTHORIZATION scheduler_owner",)
