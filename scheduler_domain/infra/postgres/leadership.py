"""Leadership by a transaction-level advisory lock: held for one turn of planning, lost with its connection.

Design note. The lock stands in a transaction that does nothing while plans are written on other connections, and a
long turn (a whole backlog, a slow database) would look to the server like one of a process that stands still: that one
it ends, so that the lock is free (dispatch_pool.py). So a turn says now and then that it goes on. A process that is
stopped or cut off says nothing, and others plan `IDLE_IN_TRANSACTION` later; planning is a minute ahead.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg

_SAID_EVERY = timedelta(seconds=3)


class PostgresLeadership:
    """The fallback where there is no Redis. Session-level locks would not survive a connection pooler; this does."""

    def __init__(self, pool: asyncpg.Pool, said_every: timedelta = _SAID_EVERY) -> None:
        """A turn that goes on is said to do so each `said_every`."""
        self._pool = pool
        self._said_every = said_every.total_seconds()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        async with self._pool.acquire() as connection, connection.transaction():
            is_leader = await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('scheduler.plan'))")
            if not is_leader:
                yield False
                return
            over = asyncio.Event()
            saying = asyncio.create_task(self._say_so_until(over, connection))
            try:
                yield True
            finally:
                over.set()  # and no cancellation: that would wait for a statement to be cut short
                await saying

    async def resign(self) -> None:
        """Nothing is held between turns."""

    async def _say_so_until(self, over: asyncio.Event, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._said_every):
                    await over.wait()
            if not over.is_set():
                await connection.execute("SELECT 1")
