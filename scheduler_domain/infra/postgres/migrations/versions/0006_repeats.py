"""Until when a schedule that was edited may name again what it has named before (domain/repeats.py)."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE schedule_cursor ADD COLUMN repeats_until timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE schedule_cursor DROP COLUMN repeats_until")
