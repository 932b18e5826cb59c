"""Who held occurrences of a changed schedule, until when, and the right to correct what a lost lease got wrong.

With the holders in the revocation itself, whoever repeats a request can wait for them as well as who made it. The one
thing that a dispatcher may change about an end is that it was a delivery after all, where it was written as withdrawn.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_CORRECTED = (
    "status, reason, attempt_count, fired_at, ended_at, duration_ms, lateness_ms, status_code, error, response_excerpt"
)

UP = (
    # The defaults are what a release of before writes: nobody to wait for but by its own reckoning.
    "ALTER TABLE revocation ADD COLUMN holders integer[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE revocation ADD COLUMN held_until timestamptz NOT NULL DEFAULT '-infinity'",
    "CREATE INDEX revocation_of_schedule ON revocation (tenant_id, schedule_id)",
    f"GRANT UPDATE ({_CORRECTED}) ON ledger TO scheduler_dispatch",
    (
        "CREATE POLICY correction ON ledger AS RESTRICTIVE FOR UPDATE TO scheduler_dispatch"
        " USING (status = 'CANCELLED') WITH CHECK (status = 'COMPLETED')"
    ),
)

DOWN = (
    "DROP POLICY correction ON ledger",
    f"REVOKE UPDATE ({_CORRECTED}) ON ledger FROM scheduler_dispatch",
    "DROP INDEX revocation_of_schedule",
    "ALTER TABLE revocation DROP COLUMN held_until",
    "ALTER TABLE revocation DROP COLUMN holders",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
