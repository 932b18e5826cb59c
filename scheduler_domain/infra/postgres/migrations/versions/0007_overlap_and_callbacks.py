"""What it takes to run a schedule's occurrences one at a time, and to wait for a receiver's word.

All columns of `due_queue` are NULL for occurrences that need none of this, which costs no byte: the row has a bitmap
of its NULLs in any case. None of them is in an index, so a lease stays a HOT update. They are under no CHECK either,
which each claim of each occurrence would pay for; the statements that set them are named in docs/states.md.

The key of callback tokens is drawn here, once for the installation: 244 random bits of PostgreSQL's own source.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CALLBACK_KEY = """
CREATE TABLE callback_key (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key       bytea NOT NULL CHECK (length(key) = 32)
)
"""

UP = (
    "ALTER TABLE due_queue ADD COLUMN admitted_at timestamptz",
    "ALTER TABLE due_queue ADD COLUMN awaiting_since timestamptz",
    "ALTER TABLE due_queue ADD COLUMN called_back_at timestamptz",
    "ALTER TABLE due_queue ADD COLUMN callback_succeeded boolean",
    "ALTER TABLE due_queue ADD COLUMN callback_message text",
    CALLBACK_KEY,
    "INSERT INTO callback_key (key) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))",
    "GRANT SELECT ON callback_key TO scheduler_app, scheduler_dispatch",
)

DOWN = (
    "DROP TABLE callback_key",
    "ALTER TABLE due_queue DROP COLUMN callback_message",
    "ALTER TABLE due_queue DROP COLUMN callback_succeeded",
    "ALTER TABLE due_queue DROP COLUMN called_back_at",
    "ALTER TABLE due_queue DROP COLUMN awaiting_since",
    "ALTER TABLE due_queue DROP COLUMN admitted_at",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
