"""Since when all occurrences of a schedule fail; who fails for days is disabled (sql/note_failing.sql)."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE schedule ADD COLUMN failing_since timestamptz")
    op.execute("GRANT UPDATE (failing_since) ON schedule TO scheduler_dispatch")


def downgrade() -> None:
    op.execute("ALTER TABLE schedule DROP COLUMN failing_since")
