"""Callbacks in PostgreSQL (application/ports/callbacks.py): noted on the row of the queue, recorded by a dispatcher."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from scheduler_domain.application.ports.callbacks import HeldExpectation
from scheduler_domain.domain.callback import CallbackRight, Expectation
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.statements import statement

_KEY: Final = "SELECT key FROM callback_key"


class PostgresCallbacks:
    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._unrecorded = tenant_statement("callback_unrecorded")
        self._key: bytes | None = None

    async def key(self) -> bytes:
        if self._key is None:
            key = await self._pool.platform_value(_KEY)
            assert isinstance(key, bytes)
            self._key = key
        return self._key

    @asynccontextmanager
    async def held(self, right: CallbackRight) -> AsyncIterator[HeldExpectation | None]:
        place = right.tenant_id, right.schedule_id, right.occurrence_id
        async with self._pool.transaction(right.tenant_id) as connection:
            row = await connection.fetchrow(statement("hold_expectation"), *place)
            yield None if row is None else _Held(connection, place, Expectation(*row))

    async def is_recorded(self, right: CallbackRight) -> bool:
        row = await self._pool.row(self._unrecorded, right.tenant_id, right.schedule_id, right.occurrence_id)
        return row is None


class _Held:
    def __init__(self, connection: Connection, place: tuple[str, UUID, UUID], expectation: Expectation) -> None:
        self._connection = connection
        self._place = place
        self.expectation = expectation

    async def note(self, succeeded: bool, message: str | None) -> None:
        await self._connection.execute(statement("note_callback"), *self._place, succeeded, message)


async def callback_key(pool: asyncpg.Pool) -> bytes:
    """Return the installation's key to a dispatcher, which gives each delivery its token."""
    key: bytes = await pool.fetchval(_KEY)
    return key
