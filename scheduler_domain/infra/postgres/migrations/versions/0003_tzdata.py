"""What it takes to follow the tz database: which instant a cursor means, which edition leads, and what has moved.

`next_order_ms` is the nominal time of a cursor's instant, as in its id: it stays when a zone's clocks change, so it
tells an instant that moved from another one. `tzdata_move` names no schedule by a foreign key: what moved stays on
record when the schedule goes, and a reference would make a planner wait for whoever deletes one.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEWEST = """
CREATE TABLE tzdata_version_seen (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  version   text NOT NULL,
  since     timestamptz NOT NULL DEFAULT now(),
  seen_at   timestamptz NOT NULL DEFAULT now()
)
"""

MOVE = """
CREATE TABLE tzdata_move (
  tenant_id     text COLLATE "C" NOT NULL,
  schedule_id   uuid NOT NULL,
  version       text NOT NULL,
  occurrence_id uuid NOT NULL,
  was_at        timestamptz,
  is_at         timestamptz,
  moved_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, schedule_id, version, occurrence_id),
  CHECK (was_at IS NOT NULL OR is_at IS NOT NULL)
)
"""

POLICY = """
CREATE POLICY of_tenant ON tzdata_move TO scheduler_app
USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))
"""

UP = (
    "ALTER TABLE schedule_cursor ADD COLUMN next_order_ms bigint",
    "GRANT UPDATE (next_order_ms) ON schedule_cursor TO scheduler_dispatch",
    NEWEST,
    "GRANT SELECT, INSERT, UPDATE ON tzdata_version_seen TO scheduler_dispatch",
    "GRANT SELECT ON tzdata_version_seen TO scheduler_app",
    MOVE,
    "CREATE INDEX tzdata_move_moved_at ON tzdata_move (moved_at)",
    "ALTER TABLE tzdata_move ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tzdata_move FORCE ROW LEVEL SECURITY",
    POLICY,
    "CREATE POLICY of_all ON tzdata_move TO scheduler_dispatch USING (true) WITH CHECK (true)",
    "GRANT SELECT ON tzdata_move TO scheduler_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tzdata_move TO scheduler_dispatch",
)

DOWN = (
    "DROP TABLE tzdata_move",
    "DROP TABLE tzdata_version_seen",
    "ALTER TABLE schedule_cursor DROP COLUMN next_order_ms",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
