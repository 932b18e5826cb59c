"""Cursors in memory (application/ports/cursors.py), and the one edition of the tz database that a simulation has."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from msgspec.structs import replace

from scheduler_domain.application.ports.cursors import Cursors
from scheduler_domain.application.ports.zone_moves import CursorKey, HeldCursors, Visit
from scheduler_domain.domain.occurrence import PlannedOccurrence, SkippedOccurrence
from scheduler_domain.domain.planning import Cursor, Plan
from scheduler_domain.domain.repeats import may_repeat, without
from tests.simulation.link import DIRECT, Link
from tests.simulation.memory.schedule_states import complete, disable
from tests.simulation.memory.tables import LedgerRow, QueuedRow, ScheduleKey, Tables


class MemoryCursors(Cursors):
    def __init__(self, tables: Tables, link: Link = DIRECT) -> None:
        self._tables = tables
        self._link = link

    async def due_between(self, from_: datetime, until: datetime, limit: int) -> Sequence[Cursor]:
        async def effect() -> Sequence[Cursor]:
            found = [
                cursor
                for cursor in self._tables.cursors.values()
                if cursor.next_fire_at is not None and from_ <= cursor.next_fire_at < until
            ]
            return sorted(found, key=lambda cursor: cursor.next_fire_at or from_)[:limit]

        return await self._link.call("cursors_due", effect)

    async def record_plans(self, plans: Sequence[Plan]) -> int:
        return await self._link.call("materialise", lambda: self._record_plans(plans))

    async def set_aside(self, cursor: Cursor, reason: str) -> None:
        key = ScheduleKey(cursor.tenant_id, cursor.schedule_id)

        async def effect() -> None:
            await self._tables.unheld((key,))
            disable(self._tables, key, cursor.revision, reason)

        await self._link.call("set_aside", effect)

    async def _record_plans(self, plans: Sequence[Plan]) -> int:
        await self._tables.unheld(_key(plan) for plan in plans)
        taken = self._tables.queue.keys() | self._tables.ledger.keys()
        plans = [without(plan, taken) if may_repeat(plan) else plan for plan in plans]
        inserted = 0
        for plan in plans:
            if self._is_unmoved(plan):
                inserted += self._record(plan)
        for plan in plans:
            if plan.finished and not plan.due:
                complete(self._tables, _key(plan), plan.before.revision)
        return inserted

    def _is_unmoved(self, plan: Plan) -> bool:
        cursor = self._tables.cursors.get(_key(plan))
        if cursor is None:
            return False
        return (cursor.revision, cursor.next_fire_at) == (plan.before.revision, plan.before.next_fire_at)

    def _record(self, plan: Plan) -> int:
        key, after = _key(plan), plan.after
        self._tables.cursors[key] = replace(
            self._tables.cursors[key],
            next_fire_at=after.next_fire_at,
            checkpoint=after.checkpoint,
            run_count=after.run_count,
            caught_up_count=after.caught_up_count,
            next_order_ms=after.next_order_ms,
            tzdata=after.tzdata,
        )
        for item in plan.skipped:
            self._tables.end(skipped_row(item, self._tables.now()))
        return sum(self._tables.insert(queued_row(item)) for item in plan.due)


class MemoryZoneMoves:
    """The part of application/ports/zone_moves.py that one edition of the tz database needs: nothing ever moves."""

    def __init__(self, tables: Tables, link: Link = DIRECT) -> None:
        self._tables = tables
        self._link = link

    async def leading(self, version: str) -> str:
        async def effect() -> str:
            return version

        return await self._link.call("lead_tzdata", effect)

    async def visit(self, after: CursorKey | None, version: str) -> Visit:
        async def effect() -> Visit:
            keys = sorted(CursorKey(*key) for key in self._tables.cursors)
            later = [key for key in keys if after is None or key > after]
            other = [key for key in later if self._tables.cursors[ScheduleKey(*key)].tzdata != version]
            return Visit(other, later[-1] if later else None)

        return await self._link.call("visit_cursors", effect)

    @asynccontextmanager
    async def held(self, keys: Sequence[CursorKey], version: str) -> AsyncIterator[HeldCursors]:
        assert not keys, f"cursors of another edition than {version}: {keys}"
        yield _NothingHeld()


class _NothingHeld:
    ahead = ()

    async def taken(self, candidates: object) -> set[object]:
        return set()

    async def record(self, version: str, moves: object) -> None:
        return


def queued_row(item: PlannedOccurrence, lease_token: int = 0) -> QueuedRow:
    return QueuedRow(
        item.tenant_id,
        item.schedule_id,
        item.id,
        item.kind,
        item.revision,
        item.scheduled_for,
        item.due_at,
        item.start_tag,
        item.is_last,
        lease_token=lease_token,
    )


def skipped_row(item: SkippedOccurrence, now: datetime) -> LedgerRow:
    return LedgerRow(
        item.tenant_id,
        item.id,
        item.schedule_id,
        item.kind,
        item.revision,
        item.scheduled_for,
        item.due_at,
        "SKIPPED",
        item.reason,
        0,
        None,
        now,
    )


def _key(plan: Plan) -> ScheduleKey:
    return ScheduleKey(plan.before.tenant_id, plan.before.schedule_id)
