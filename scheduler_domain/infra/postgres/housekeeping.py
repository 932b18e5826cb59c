"""Housekeeping: what must happen now and then, and harms nobody if several dispatchers do it.

Partitions are made ahead, and go when all of one is older than what is kept; old coordination rows are forgotten,
pauses that named an end are lifted, the backlog is measured, and schedules are counted: last, and after a count that
failed as long a wait as after one that did not, for a number that nobody needs must keep nothing else from its turn.
"""

from datetime import UTC, datetime, timedelta

import asyncpg

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.infra.postgres.pauses import Pauses
from scheduler_domain.infra.postgres.statements import statement

_SLOW_EVERY = timedelta(minutes=5)
_IDEMPOTENCY_LIFETIME = timedelta(hours=24)
_SILENT_FOR = timedelta(days=1)  # not sooner: one that was only stopped is still to be waited for when it goes on
_REVOCATION_LIFETIME = timedelta(minutes=2)
_COUNT_EVERY = timedelta(minutes=1)
_COUNT_SHARE = 100  # counting reads all of an index: it may take a hundredth of the time
_MONTHS_AHEAD = 3
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS_PER_STATEMENT = 5_000  # some tens of milliseconds, however much there is to delete
_MOVES_KEPT = timedelta(days=400)


class Housekeeping:
    def __init__(
        self,
        pool: asyncpg.Pool,
        clock: Clock,
        measurements: Measurements,
        tags: StartTags,
        ledger_retention: timedelta | None = None,
    ) -> None:
        """`ledger_retention` None keeps the ledger for ever. One connection is enough."""
        self._pool = pool
        self._clock = clock
        self._measurements = measurements
        self._pauses = Pauses(pool, tags)
        self._ledger_retention = ledger_retention
        self._next_slow_at = 0.0
        self._next_count_at = 0.0

    async def step(self) -> None:
        row = await self._pool.fetchrow(statement("measure_backlog"))
        self._measurements.backlog(row["due_count"], row["oldest_age"] or 0.0)
        await self._pauses.lift()
        if self._clock.monotonic() >= self._next_slow_at:
            await self._sweep()
            self._next_slow_at = self._clock.monotonic() + _SLOW_EVERY.total_seconds()
        if self._clock.monotonic() >= self._next_count_at:
            await self._count_schedules()

    async def _count_schedules(self) -> None:
        began = self._clock.monotonic()
        try:
            rows = await self._pool.fetch(statement("count_schedules"))
        finally:
            now = self._clock.monotonic()
            self._next_count_at = now + max(_COUNT_EVERY.total_seconds(), (now - began) * _COUNT_SHARE)
        self._measurements.schedules({row["state"]: row["number"] for row in rows})

    async def _sweep(self) -> None:
        await self._prune_ledger()
        await self._pool.execute(
            "DELETE FROM revocation WHERE made_at < now() - $1::interval AND held_until < now()", _REVOCATION_LIFETIME
        )
        await self._pool.execute("DELETE FROM dispatcher WHERE heartbeat_at < now() - $1::interval", _SILENT_FOR)
        await self._forget("forget_requests", _IDEMPOTENCY_LIFETIME)
        await self._forget("forget_moves", _MOVES_KEPT)

    async def _forget(self, name: str, lifetime: timedelta) -> None:
        """Delete what is older, a bounded part at a time; a rival that took some of a part goes on with the rest."""
        while await self._pool.fetchval(statement(name), lifetime, _ROWS_PER_STATEMENT) == _ROWS_PER_STATEMENT:
            pass

    async def _prune_ledger(self) -> None:
        """Make months ahead, and let go of what is older than the retention: whole months, and strays row by row."""
        now = self._clock.now()
        keep_from = _EVER if self._ledger_retention is None else now - self._ledger_retention
        await self._pool.execute("SELECT maintain_partitions($1, $2, $3)", now, _MONTHS_AHEAD, keep_from)
        while await self._pool.fetchval("SELECT prune_strays($1, $2)", keep_from, _ROWS_PER_STATEMENT):
            pass
