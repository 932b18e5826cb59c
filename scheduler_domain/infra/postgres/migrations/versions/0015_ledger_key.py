"""The ledger's key is the same two columns, the id first: what ends together is stored together (docs/decisions/0021).

Writes the key's index of each month anew, for which the ledger is locked: some seconds for each million rows.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE ledger DROP CONSTRAINT ledger_pkey, ADD PRIMARY KEY (id, tenant_id)")


def downgrade() -> None:
    op.execute("ALTER TABLE ledger DROP CONSTRAINT ledger_pkey, ADD PRIMARY KEY (tenant_id, id)")
