"""Whatever did not complete is found by its status: skips and cancellations as dead letters are.

They are asked for when somebody wants to know why nothing fired, and are few among what did. Reads the ledger once.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UP = (
    "CREATE INDEX ledger_not_completed ON ledger (tenant_id, status, scheduled_for) WHERE status <> 'COMPLETED'",
    "DROP INDEX ledger_dead_letters",
)

DOWN = (
    "CREATE INDEX ledger_dead_letters ON ledger (tenant_id, scheduled_for) WHERE status = 'FAILED'",
    "DROP INDEX ledger_not_completed",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
