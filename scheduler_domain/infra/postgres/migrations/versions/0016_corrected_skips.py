"""What was delivered and written as skipped may be corrected, as what was written as withdrawn may (0009)."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER POLICY correction ON ledger USING (status IN ('CANCELLED', 'SKIPPED'))")


def downgrade() -> None:
    op.execute("ALTER POLICY correction ON ledger USING (status = 'CANCELLED')")
