"""Who is bringing a template's instances to its newest version, and until when nobody else does."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE template ADD COLUMN replan_until timestamptz NOT NULL DEFAULT '-infinity'")
    op.execute("GRANT UPDATE (replan_until) ON template TO scheduler_dispatch")


def downgrade() -> None:
    op.execute("ALTER TABLE template DROP COLUMN replan_until")
