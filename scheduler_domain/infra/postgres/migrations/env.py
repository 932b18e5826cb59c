"""Alembic's environment: the connection that `migrate.py` opened, and one transaction for the whole run."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="scheduler", transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
