"""Leadership by a transaction-level advisory lock: held for one turn of planning, lost with its connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


class PostgresLeadership:
    """The fallback where there is no Redis. Session-level locks would not survive a connection pooler; this does."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('scheduler.plan'))")

    async def resign(self) -> None:
        """Nothing is held between turns."""
