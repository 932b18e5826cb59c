"""The dispatcher's own row: its number, its heartbeat, and the revocations it has obeyed.

A revocation names a schedule that was deleted, paused or edited while a dispatcher held occurrences of it. The API
answers only after every holder has let go (docs/decisions/0007), so what it answers is true.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import structlog

from scheduler_domain.application.ports.dispatchers import Revocation
from scheduler_domain.domain.misfire import ABSENT_AFTER, Absence
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.statements import statement

REVOCATION_LIFETIME = timedelta(minutes=1)
_FAREWELL = timedelta(seconds=1)
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_log = structlog.get_logger(__name__)


class PostgresDispatchers:
    def __init__(self, pool: asyncpg.Pool, clock: DatabaseClock) -> None:
        self._pool = pool
        self._clock = clock
        self._name = ""

    async def register(self, name: str) -> int:
        self._name = name
        number: int = await self._pool.fetchval("INSERT INTO dispatcher (name) VALUES ($1) RETURNING id", name)
        return number

    async def beat(self, number: int, obeyed: Sequence[int]) -> Absence | None:
        """See the port. The answer also sets the clock by the database's."""
        async with self._pool.acquire() as connection:
            asked_at = self._clock.monotonic()
            row = await connection.fetchrow(statement("beat_dispatcher"), number, obeyed, self._name, ABSENT_AFTER)
            self._clock.observe(row["now"], asked_at, self._clock.monotonic())
        return None if row["began"] is None else Absence(row["began"], row["ended"])

    async def recent_revocations(self) -> list[Revocation]:
        rows = await self._pool.fetch(
            "SELECT sequence, tenant_id, schedule_id, occurrence_id FROM revocation"
            " WHERE made_at > now() - $1::interval OR held_until > now()",
            REVOCATION_LIFETIME,
        )
        return [Revocation(*row) for row in rows]

    async def leave(self, number: int) -> None:
        """Take the row away, if the database answers within a second; otherwise housekeeping does once it is silent.

        Not by a timeout: a statement that is cut short waits for a database that is stuck to say so.
        """
        leaving = asyncio.ensure_future(self._pool.execute("DELETE FROM dispatcher WHERE id = $1", number))
        done, _ = await asyncio.wait((leaving,), timeout=_FAREWELL.total_seconds())
        try:
            if done:
                leaving.result()
                return
            error: BaseException = TimeoutError()
            leaving.cancel()
        except _AWAY as failure:
            error = failure
        _log.warning("dispatcher.left_unsaid", error=repr(error))
