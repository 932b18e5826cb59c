"""Dispatchers and leadership in memory (application/ports/dispatchers.py, ports/leadership.py)."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from scheduler_domain.application.ports.dispatchers import Revocation
from scheduler_domain.domain.misfire import ABSENT_AFTER, Absence
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatchers import REVOCATION_LIFETIME
from tests.simulation.link import DIRECT, Link
from tests.simulation.memory.tables import DispatcherRow, Tables

SILENT_FOR = timedelta(minutes=5)


class MemoryDispatchers:
    def __init__(self, tables: Tables, clock: DatabaseClock, link: Link = DIRECT) -> None:
        self._tables = tables
        self._clock = clock
        self._link = link

    async def register(self, name: str) -> int:
        async def effect() -> int:
            number = next(self._tables.sequence)
            self._tables.dispatchers[number] = DispatcherRow(self._tables.now())
            return number

        return await self._link.call(f"register {name}", effect)

    async def beat(self, number: int, obeyed: Sequence[int]) -> Absence | None:
        async def effect() -> tuple[datetime, Absence | None]:
            tables, now = self._tables, self._tables.now()
            if tables.seen_at is not None and now > tables.seen_at + ABSENT_AFTER:
                tables.absence = Absence(tables.seen_at.timestamp(), now.timestamp())
            tables.seen_at = now
            tables.dispatchers[number] = DispatcherRow(now, frozenset(obeyed))
            return now, tables.absence

        asked_at = self._clock.monotonic()
        now, absence = await self._link.call("beat", effect)
        self._clock.observe(now, asked_at, self._clock.monotonic())
        return absence

    async def recent_revocations(self) -> Sequence[Revocation]:
        async def effect() -> Sequence[Revocation]:
            now = self._tables.now()
            return [
                Revocation(item.sequence, *item.key)
                for item in self._tables.revocations
                if item.made_at > now - REVOCATION_LIFETIME or item.held_until > now
            ]

        return await self._link.call("recent_revocations", effect)

    async def leave(self, number: int) -> None:
        async def effect() -> None:
            self._tables.dispatchers.pop(number, None)

        await self._link.call("leave", effect)


class Lock:
    """Who has the planner's turn. `is_doubled` says, each time, whether a second one gets it all the same."""

    def __init__(self, is_doubled: Callable[[], bool] = lambda: False) -> None:
        self.holder: object | None = None
        self.is_doubled = is_doubled


class MemoryLeadership:
    """A turn's lock; it goes with the process that has it (`owner_is_gone`), as a connection's does."""

    def __init__(self, lock: Lock, link: Link = DIRECT) -> None:
        self._lock = lock
        self._link = link

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        async def take() -> bool:
            if self._lock.holder is not None and not self._lock.is_doubled():
                return False
            self._lock.holder = self
            return True

        try:
            yield await self._link.call("lead", take)
        finally:
            self.lose()

    def lose(self) -> None:
        if self._lock.holder is self:
            self._lock.holder = None

    async def resign(self) -> None:
        """Nothing is held between turns."""
