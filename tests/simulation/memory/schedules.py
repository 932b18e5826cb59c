"""Schedules in memory: what the use cases that write ask of application/ports/schedules.py and ports/occurrences.py."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.schedules import Accepted, Changed
from scheduler_domain.domain.errors import Conflict, KeyTaken
from scheduler_domain.domain.occurrence import OccurrenceKind, Status
from scheduler_domain.domain.schedule import Schedule
from scheduler_domain.domain.withdrawal import Withdrawal
from tests.simulation.link import DIRECT, Link
from tests.simulation.memory.cursors import queued_row, skipped_row
from tests.simulation.memory.tables import LedgerRow, QueuedRow, Revoked, ScheduleKey, StoredSchedule, Tables

_TOKENS_PER_VERSION = 1 << 10
_FIRED = frozenset({Status.COMPLETED, Status.FAILED})


class MemorySchedules:
    """Remembers no answers: every write comes without an idempotency key."""

    def __init__(self, tables: Tables, link: Link = DIRECT) -> None:
        self._tables = tables
        self._link = link

    async def add(self, accepted: Accepted, remembered: RememberedAnswer | None) -> None:
        assert remembered is None
        await self._link.call("accept", lambda: self._add(accepted))

    async def by_id(self, tenant_id: str, schedule_id: UUID) -> Schedule | None:
        async def effect() -> Schedule | None:
            stored = self._tables.schedules.get(ScheduleKey(tenant_id, schedule_id))
            return None if stored is None else stored.schedule

        return await self._link.call("read_schedule", effect)

    async def add_manual(
        self, tenant_id: str, schedule_id: UUID, occurrence_id: UUID, at: datetime, remembered: RememberedAnswer | None
    ) -> bool:
        """Part of the port `Occurrences`."""
        assert remembered is None
        key = ScheduleKey(tenant_id, schedule_id)

        async def effect() -> bool:
            await self._tables.unheld((key,))
            stored = self._tables.schedules.get(key)
            if stored is None:
                return False
            row = QueuedRow(tenant_id, schedule_id, occurrence_id, "MANUAL", stored.schedule.revision, at, at, at)
            if not self._tables.insert(row):
                raise Conflict("the schedule was triggered at this very instant already; ask again")
            self._tables.on_change.due_soon()
            return True

        return await self._link.call("trigger_schedule", effect)

    @asynccontextmanager
    async def held(self, tenant_id: str, schedule_id: UUID) -> AsyncIterator["_Held | None"]:
        await self._link.call("begin", _nothing)
        key = ScheduleKey(tenant_id, schedule_id)
        async with self._tables.holding(key):
            stored = self._tables.schedules.get(key)
            if stored is None:
                yield None
                return
            held = _Held(self._tables, self._link, key, stored)
            yield held
            await self._link.call("commit", held.commit)

    async def is_obeyed(self, tenant_id: str, schedule_ids: Sequence[UUID]) -> bool:
        keys = {ScheduleKey(tenant_id, schedule_id) for schedule_id in schedule_ids}

        async def effect() -> bool:
            revoked = [item for item in self._tables.revocations if item.key in keys]
            return not any(self._tables.is_revocation_pending(item) for item in revoked)

        return await self._link.call("revocation_pending", effect)

    async def _add(self, accepted: Accepted) -> None:
        schedule, plan = accepted.schedule, accepted.plan
        taken = {
            stored.schedule.definition.key
            for key, stored in self._tables.schedules.items()
            if key.tenant_id == schedule.tenant_id
        }
        if schedule.definition.key is not None and schedule.definition.key in taken:
            raise KeyTaken(f"another schedule has the key {schedule.definition.key}")
        key = ScheduleKey(schedule.tenant_id, schedule.id)
        paused_at = None if schedule.definition.enabled else schedule.created_at
        self._tables.schedules[key] = StoredSchedule.of(schedule, paused_at)
        self._tables.cursors[key] = replace(plan.after, revision=1)
        for item in plan.due:
            self._tables.insert(queued_row(item))
        for item in plan.skipped:
            self._tables.end(skipped_row(item, self._tables.now()))
        if accepted.is_soon:
            self._tables.on_change.due_soon()


class _Held:
    """A schedule under lock. What is changed is collected, and happens when the hold ends without an exception."""

    def __init__(self, tables: Tables, link: Link, key: ScheduleKey, stored: StoredSchedule) -> None:
        self._tables = tables
        self._link = link
        self._key = key
        self._changed: Changed | None = None
        self._deleted: tuple[Withdrawal, str] | None = None
        self.now = tables.now()
        self.schedule = stored.schedule
        self.cursor = tables.cursors[key]
        self.paused_at = stored.paused_at
        self.resume_at = stored.resume_at
        self.in_force_since = stored.in_force_since
        self.is_instance = False
        self.queued = [row.as_seen_by_a_change() for row in tables.queued_of(key) if not self._is_left_behind(row)]
        self._ended = [row for row in tables.ledger.values() if _is_planned_of(row, key)]
        newest = max(self._ended, key=lambda row: row.scheduled_for, default=None)
        self.last_ended_at = None if newest is None else newest.ended_at

    async def fired_since(self, from_: datetime, limit: int) -> Sequence[UUID]:
        async def effect() -> Sequence[UUID]:
            fired = [row for row in self._ended if row.status in _FIRED and row.scheduled_for >= from_]
            newest_first = sorted(fired, key=lambda row: row.scheduled_for, reverse=True)
            return [row.id for row in newest_first[:limit]]

        return await self._link.call("fired_lately", effect)

    async def remember(self, remembered: RememberedAnswer | None) -> None:
        assert remembered is None

    async def change(self, changed: Changed, remembered: RememberedAnswer | None) -> None:
        assert remembered is None

        async def effect() -> None:
            self._changed = changed
            self._revoke(changed.withdrawal)

        await self._link.call("change_schedule", effect)

    async def delete(self, withdrawal: Withdrawal, reason: str) -> None:
        async def effect() -> None:
            self._deleted = withdrawal, reason
            self._revoke(withdrawal)

        await self._link.call("delete_schedule", effect)

    async def commit(self) -> None:
        if self._changed is not None or self._deleted is not None:
            self._tables.on_change.changed(self._key, self.now, self.cursor)
        if self._changed is not None:
            self._withdraw(self._changed.withdrawal, self._changed.reason)
            self._store(self._changed)
        if self._deleted is not None:
            self._withdraw(*self._deleted)
            del self._tables.schedules[self._key], self._tables.cursors[self._key]
        if self._revocation is not None:
            self._tables.revocations.append(self._revocation)
            self._tables.on_change.revoked()

    _revocation: Revoked | None = None

    def _is_left_behind(self, row: QueuedRow) -> bool:
        """Tell what an edit of before has left to its holder, and the next claim ends."""
        return row.revision != self.schedule.revision and not row.was_tried and row.kind == OccurrenceKind.SCHEDULED

    def _revoke(self, withdrawal: Withdrawal) -> None:
        """Draw the revocation's number; it is seen by others with the commit."""
        if withdrawal.held_until is not None and withdrawal.holders:
            sequence = next(self._tables.sequence)
            self._revocation = Revoked(self.now, sequence, self._key, withdrawal.holders, withdrawal.held_until)

    def _withdraw(self, withdrawal: Withdrawal, reason: str) -> None:
        for id_ in (*withdrawal.forgotten, *withdrawal.cancelled):
            row = self._tables.queue.pop(id_, None)
            if row is None:
                continue
            self._tables.on_change.withdrawn(row)
            if id_ in withdrawal.cancelled:
                self._tables.end(_cancelled_row(row, reason, self.now))

    def _store(self, changed: Changed) -> None:
        schedule, plan, tables = changed.schedule, changed.plan, self._tables
        if schedule.revision != self.schedule.revision:
            self._carry_over(schedule.revision, changed.withdrawal.left)
        for id_ in changed.unchained:
            tables.queue[id_].is_last = True
            tables.queue[id_].version += 1
        tables.schedules[self._key] = replace(
            StoredSchedule.of(schedule, changed.paused_at),
            resume_at=changed.resume_at,
            in_force_since=changed.in_force_since,
        )
        tables.cursors[self._key] = replace(plan.after, revision=schedule.revision, repeats_until=changed.repeats_until)
        for item in plan.due:
            if item.id not in tables.ledger:
                row = queued_row(item, lease_token=schedule.version * _TOKENS_PER_VERSION)
                row.revision = schedule.revision
                if not tables.insert(row):
                    self._take_over(tables.queue[row.id], row)
        for item in plan.skipped:
            tables.end(replace(skipped_row(item, tables.now()), revision=schedule.revision))
        if changed.is_soon:
            tables.on_change.due_soon()

    def _take_over(self, row: QueuedRow, planned: QueuedRow) -> None:
        """Let a row that is there still be what is planned; not if it may be under way, or was tried."""
        if row.was_tried or self._is_under_way(row):
            return
        row.leave()
        self._tables.on_change.taken_back(row)
        row.revision, row.lease_token = planned.revision, max(row.lease_token + 1, planned.lease_token)
        row.scheduled_for, row.due_at, row.start_tag = planned.scheduled_for, planned.due_at, planned.start_tag
        row.is_last = planned.is_last

    def _is_under_way(self, row: QueuedRow) -> bool:
        return row.lease_until > self.now and row.due_at <= self.now

    def _carry_over(self, revision: int, left: Sequence[UUID]) -> None:
        """Move what was not tried to the new revision; what nobody can have started loses its lease."""
        for row in self._tables.queued_of(self._key):
            if row.was_tried or row.revision != self.schedule.revision or row.id in left:
                continue
            row.revision = revision
            row.version += 1
            if not self._is_under_way(row):
                row.leave()
                row.lease_token += 1
                self._tables.on_change.taken_back(row)


async def _nothing() -> None:
    """The effect of opening a transaction."""


def _is_planned_of(row: LedgerRow, key: ScheduleKey) -> bool:
    return (row.tenant_id, row.schedule_id) == key and row.kind == "SCHEDULED"


def _cancelled_row(row: QueuedRow, reason: str, now: datetime) -> LedgerRow:
    return LedgerRow(
        row.tenant_id,
        row.id,
        row.schedule_id,
        row.kind,
        row.revision,
        row.scheduled_for,
        row.due_at,
        "CANCELLED",
        reason,
        row.attempt_count,
        row.first_fired_at,
        now,
    )
