"""The instant of a pause, which a resume with catch-up plans from, and indexes in the order that lists are read.

`ledger_of_schedule` orders by instant rather than by id: a manual occurrence's id is made of UTC, a planned one's of
local time, so within one schedule ids alone do not sort by instant.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = (
    "ALTER TABLE schedule ADD COLUMN paused_at timestamptz",
    "GRANT UPDATE (paused_at) ON schedule TO scheduler_dispatch",
    "DROP INDEX ledger_of_schedule",
    "CREATE INDEX ledger_of_schedule ON ledger (tenant_id, schedule_id, scheduled_for, id)",
    "CREATE INDEX schedule_by_name ON schedule (tenant_id, name, id)",
)

DOWN = (
    "DROP INDEX schedule_by_name",
    "DROP INDEX ledger_of_schedule",
    "CREATE INDEX ledger_of_schedule ON ledger (tenant_id, schedule_id, id)",
    "ALTER TABLE schedule DROP COLUMN paused_at",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
