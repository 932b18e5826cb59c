"""The dispatcher's own row: its number, its heartbeat, and the revocations it has obeyed.

A revocation names a schedule that was deleted, paused or edited while a dispatcher held occurrences of it. The API
answers only after every holder has let go (docs/decisions/0007), so what it answers is true.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import Struct

from scheduler_domain.infra.postgres.statements import statement

REVOCATION_LIFETIME = timedelta(minutes=1)


class Revocation(Struct, frozen=True, gc=False):
    sequence: int
    tenant_id: str
    schedule_id: UUID


class PostgresDispatchers:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def register(self, name: str) -> int:
        number: int = await self._pool.fetchval("INSERT INTO dispatcher (name) VALUES ($1) RETURNING id", name)
        return number

    async def beat(self, number: int, obeyed: Sequence[int]) -> datetime:
        """Say that this dispatcher lives and what it obeyed; return the database's clock."""
        now: datetime = await self._pool.fetchval(statement("beat_dispatcher"), number, obeyed)
        return now

    async def recent_revocations(self) -> list[Revocation]:
        rows = await self._pool.fetch(
            "SELECT sequence, tenant_id, schedule_id FROM revocation WHERE made_at > now() - $1::interval",
            REVOCATION_LIFETIME,
        )
        return [Revocation(*row) for row in rows]

    async def leave(self, number: int) -> None:
        await self._pool.execute("DELETE FROM dispatcher WHERE id = $1", number)

    async def sweep(self, idempotency_lifetime: timedelta, silent_for: timedelta) -> None:
        """Forget old revocations, old idempotent requests and dispatchers that fell silent."""
        await self._pool.execute("DELETE FROM revocation WHERE made_at < now() - $1::interval", REVOCATION_LIFETIME * 2)
        await self._pool.execute("DELETE FROM dispatcher WHERE heartbeat_at < now() - $1::interval", silent_for)
        await self._pool.execute(
            "DELETE FROM idempotent_request WHERE created_at < now() - $1::interval", idempotency_lifetime
        )

    async def maintain_partitions(self, keep: timedelta | None) -> None:
        """Create the ledger's partitions ahead; drop those older than `keep`, which None never does."""
        await self._pool.execute(
            "SELECT maintain_partitions(now(), 3, CASE WHEN $1::interval IS NULL THEN '-infinity' ELSE now() - $1 END)",
            keep,
        )

    async def backlog(self) -> tuple[int, float]:
        """Return how many occurrences are due and not done, and the age of the oldest in seconds."""
        row = await self._pool.fetchrow(statement("measure_backlog"))
        return row["due_count"], row["oldest_age"] or 0.0
