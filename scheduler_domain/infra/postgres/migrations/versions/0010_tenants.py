"""Tenants as the platform's operators keep them: how much each weighs beside the others.

A row is the platform's, not the tenant's: the API's role sees it only where its transaction says that it acts for the
platform, whichever tenant it acts for besides. No other table refers to it, because tenants come with their tokens and
most are never stored. Its key is the tenant itself.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# NaN is above every number to PostgreSQL, so the CHECK refuses it as well.
TENANT = """
CREATE TABLE tenant (
  id         text COLLATE "C" PRIMARY KEY,
  weight     double precision NOT NULL DEFAULT 1 CHECK (weight >= 0.1 AND weight <= 100),
  version    integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
)
"""

IS_PLATFORM = """
CREATE FUNCTION is_platform() RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT current_setting('app.platform', true) IS NOT DISTINCT FROM 'on' $$
"""

POLICY = """
CREATE POLICY of_platform ON tenant TO scheduler_app
USING ((SELECT is_platform())) WITH CHECK ((SELECT is_platform()))
"""

UP = (
    TENANT,
    # What planners read every few seconds is as long as there are tenants that differ.
    "CREATE INDEX tenant_weighted ON tenant (id) INCLUDE (weight) WHERE weight <> 1",
    IS_PLATFORM,
    "ALTER TABLE tenant ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tenant FORCE ROW LEVEL SECURITY",
    POLICY,
    "CREATE POLICY of_all ON tenant FOR SELECT TO scheduler_dispatch USING (true)",
    "GRANT SELECT ON tenant TO scheduler_app",
    "GRANT INSERT (id, weight, created_at, updated_at) ON tenant TO scheduler_app",
    "GRANT UPDATE (weight, version, updated_at) ON tenant TO scheduler_app",
    "GRANT SELECT (id, weight) ON tenant TO scheduler_dispatch",
)

DOWN = (
    "DROP TABLE tenant",
    "DROP FUNCTION is_platform()",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
