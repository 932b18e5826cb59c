"""Lines in memory: the part of application/ports/lines.py that schedules which let occurrences overlap need.

They ask only where an attempt of before an edit might be waiting for a callback; here none ever is.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.application.ports.lines import Decided, HeldLines, Standing
from scheduler_domain.domain.overlap import MOST_COUNTED
from tests.simulation.link import DIRECT, Link
from tests.simulation.memory.tables import ScheduleKey, Tables


class MemoryLines:
    def __init__(self, tables: Tables, link: Link = DIRECT) -> None:
        self._tables = tables
        self._link = link

    @asynccontextmanager
    async def held(self, claimed: Sequence[Claimed], now: datetime) -> AsyncIterator[HeldLines]:
        async def effect() -> Mapping[UUID, Standing]:
            await self._tables.unheld(ScheduleKey(item.tenant_id, item.schedule_id) for item in claimed)
            return {item.id: standing for item in claimed if (standing := self._standing(item, now)) is not None}

        yield _Held(await self._link.call("look_at_lines", effect))

    def _standing(self, claimed: Claimed, now: datetime) -> Standing | None:
        row = self._tables.queue.get(claimed.id)
        if row is None or row.lease_token != claimed.lease_token:
            return None
        ahead = [
            other
            for other in self._tables.queued_of(row.key)
            if other.due_at <= now and (other.due_at, other.id) < (row.due_at, row.id)
        ]
        return Standing(
            min(len(ahead), MOST_COUNTED),
            has_started=False,
            is_awaiting=False,
            began_at=row.first_fired_at,
            callback=None,
        )


class _Held:
    def __init__(self, standings: Mapping[UUID, Standing]) -> None:
        self.standings = standings

    async def decide(self, decided: Sequence[Decided]) -> set[UUID]:
        raise NotImplementedError("schedules that do not let occurrences overlap are not simulated")
