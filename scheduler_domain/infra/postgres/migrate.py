"""Migrations: the only code that connects as the owner of the tables.

All runs are serialised by an advisory lock, so starting several processes that migrate is harmless. It is the one
lock of a session, not a transaction, because it spans several: migrate over a direct connection, not a pooler.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from scheduler_domain.infra.postgres.address import PostgresAddress
from scheduler_domain.infra.postgres.roles import MAKE_ROLES, MAKE_SCHEMA

_CONNECTS_WITHIN = 60.0
_MIGRATIONS = Path(__file__).parent / "migrations"
Result = TypeVar("Result")


def upgrade(postgres_url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`; makes the roles and the schema where they are missing."""
    _connected(postgres_url, lambda connection: _run(connection, lambda config: command.upgrade(config, revision)))


def downgrade(postgres_url: str, revision: str) -> None:
    _connected(postgres_url, lambda connection: _run(connection, lambda config: command.downgrade(config, revision)))


def current_revision(postgres_url: str) -> str | None:
    return _connected(postgres_url, _current)


def head_revision() -> str:
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert head is not None
    return head


def _current(connection: Connection) -> str | None:
    options = {"version_table_schema": "scheduler"}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _run(connection: Connection, steps: Callable[[Config], None]) -> None:
    connection.execute(text("SELECT pg_advisory_lock(hashtext('scheduler.migrate'))"))
    for statement in (MAKE_ROLES, *MAKE_SCHEMA):
        connection.exec_driver_sql(statement)
    connection.commit()
    connection.exec_driver_sql("SET ROLE scheduler_owner")
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    steps(config)
    connection.commit()


def _connected(postgres_url: str, work: Callable[[Connection], Result]) -> Result:
    async def connect() -> Result:
        address = PostgresAddress(postgres_url)
        engine = create_async_engine(
            "postgresql+asyncpg://",
            poolclass=NullPool,
            async_creator=lambda: address.connect(
                timeout=_CONNECTS_WITHIN, server_settings={"search_path": "scheduler"}
            ),
        )
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(connect())
