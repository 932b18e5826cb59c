"""What housekeeping looks for has an index: the states of schedules to count, the ends of strays to forget.

Both are narrow. Equal states are stored once with a list of places, about six bytes for a schedule; a schedule changes
its state seldom. Few occurrences lie outside every month of the ledger.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = (
    "CREATE INDEX schedule_state ON schedule (state)",
    "CREATE INDEX ledger_stray_ended_at ON ledger_stray (ended_at)",
)

DOWN = (
    "DROP INDEX ledger_stray_ended_at",
    "DROP INDEX schedule_state",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
