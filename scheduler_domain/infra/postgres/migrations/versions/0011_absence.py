"""When a dispatcher was there last, and when none was.

What was planned ahead for a time in which no dispatcher lived goes by its schedule's misfire policy
(domain/misfire.py). So heartbeats pass by one row, and a row of the queue remembers whether a lease of it ran out in
somebody's hands: such an occurrence may have been delivered.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PRESENCE = """
CREATE TABLE presence (
  is_only      boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  seen_at      timestamptz NOT NULL,
  absent_from  timestamptz,
  absent_until timestamptz,
  CHECK (absent_from < absent_until)
) WITH (fillfactor = 10)
"""

UP = (
    PRESENCE,
    "INSERT INTO presence (seen_at) VALUES (now())",
    "GRANT SELECT, UPDATE (seen_at, absent_from, absent_until) ON presence TO scheduler_dispatch",
    "ALTER TABLE due_queue ADD COLUMN may_have_started boolean NOT NULL DEFAULT false",
)

DOWN = (
    "ALTER TABLE due_queue DROP COLUMN may_have_started",
    "DROP TABLE presence",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
