"""Lines in PostgreSQL (application/ports/lines.py): two looks at one line never decide at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.application.ports.lines import Decided, HeldLines, Standing
from scheduler_domain.domain.callback import Callback
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.infra.postgres.statements import statement


class PostgresLines:
    """The lines of one dispatcher's occurrences; each hold is one short transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def held(self, claimed: Sequence[Claimed], now: datetime) -> AsyncIterator[HeldLines]:
        leases = _leases(claimed)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(statement("lock_lines"), *leases[:2])
            rows = await connection.fetch(statement("look_at_lines"), *leases, now)
            yield _Held(connection, {row["id"]: _standing(row) for row in rows})


class _Held:
    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, standings: Mapping[UUID, Standing]) -> None:
        self._connection = connection
        self.standings = standings

    async def decide(self, decided: Sequence[Decided]) -> set[UUID]:
        leases = _leases([item.claimed for item in decided])
        rows = await self._connection.fetch(statement("decide_lines"), *leases, [item.wait for item in decided])
        return {row["id"] for row in rows}


async def wake_lines(connection: asyncpg.pool.PoolConnectionProxy, ended: Sequence[Claimed]) -> None:
    """Within the transaction that records these ends, let those ask who waited for them."""
    if ended:
        leases = _leases(ended)
        await connection.execute(statement("lock_lines"), *leases[:2])
        await connection.execute(statement("wake_lines"), *leases[:2], MISFIRE_THRESHOLD)


def _standing(row: asyncpg.Record) -> Standing:
    called_at = row["called_back_at"]
    callback = None if called_at is None else Callback(row["callback_succeeded"], row["callback_message"], called_at)
    return Standing(row["ahead_count"], row["has_started"], row["is_awaiting"], row["began_at"], callback)


def _leases(claimed: Sequence[Claimed]) -> tuple[list[str], list[UUID], list[UUID], list[int]]:
    return (
        [item.tenant_id for item in claimed],
        [item.schedule_id for item in claimed],
        [item.id for item in claimed],
        [item.lease_token for item in claimed],
    )
