"""Templates of tenants, and which schedule was made from which template, under which key, with which parameters.

`template_instance` refers to its schedule, so that whoever deletes the schedule deletes the instance. It does not refer
to its template: built-in ones are no rows. That a template with instances stays is held by those who delete templates
(hold_template.sql) and who add instances (accept_instances.sql): both lock the template's row.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# replan_after: the key up to which instances were brought to this version; NULL where all were. '' begins a walk.
TEMPLATE = """
CREATE TABLE template (
  tenant_id     text COLLATE "C" NOT NULL,
  name          text NOT NULL,
  version       integer NOT NULL DEFAULT 1,
  document      json NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now(),
  replan_after  text,
  replan_total  integer NOT NULL DEFAULT 0,
  replan_done   integer NOT NULL DEFAULT 0,
  replan_failed integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, name)
)
"""

TEMPLATE_INSTANCE = """
CREATE TABLE template_instance (
  tenant_id        text COLLATE "C" NOT NULL,
  template         text NOT NULL,
  key              text COLLATE "C" NOT NULL,
  schedule_id      uuid NOT NULL,
  template_version integer NOT NULL,
  parameters       json NOT NULL,
  problem          text,
  PRIMARY KEY (tenant_id, template, key),
  UNIQUE (tenant_id, schedule_id),
  FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedule (tenant_id, id) ON DELETE CASCADE
)
"""

TABLES = ("template", "template_instance")

GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON template, template_instance TO scheduler_app",
    "GRANT SELECT ON template TO scheduler_dispatch",
)


def upgrade() -> None:
    op.execute(TEMPLATE)
    op.execute(TEMPLATE_INSTANCE)
    op.execute("CREATE INDEX template_replanning ON template (updated_at) WHERE replan_after IS NOT NULL")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY of_tenant ON {table} TO scheduler_app"
            " USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
    op.execute("CREATE POLICY of_all ON template TO scheduler_dispatch USING (true) WITH CHECK (true)")
    for grant in GRANTS:
        op.execute(grant)


def downgrade() -> None:
    op.execute("DROP TABLE template_instance")
    op.execute("DROP TABLE template")
