"""The shard leads what a claim walks, so that dispatchers may own shards without a rewrite (docs/decisions/0020)."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = (
    "DROP INDEX due_queue_start_tag",
    "CREATE INDEX due_queue_start_tag ON due_queue (shard, start_tag)",
)

DOWN = (
    "DROP INDEX due_queue_start_tag",
    "CREATE INDEX due_queue_start_tag ON due_queue (start_tag)",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
