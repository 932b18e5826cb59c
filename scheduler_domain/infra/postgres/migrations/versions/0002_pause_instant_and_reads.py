"""The instant of a pause, which a resume with catch-up plans from, and an index in the order that lists are read."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = (
    "ALTER TABLE schedule ADD COLUMN paused_at timestamptz",
    "GRANT UPDATE (paused_at) ON schedule TO scheduler_dispatch",
    "CREATE INDEX schedule_by_name ON schedule (tenant_id, name, id)",
)

DOWN = (
    "DROP INDEX schedule_by_name",
    "ALTER TABLE schedule DROP COLUMN paused_at",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
