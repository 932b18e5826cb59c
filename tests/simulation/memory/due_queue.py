"""The due queue in memory (application/ports/due_queue.py)."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.domain import lease
from scheduler_domain.domain.occurrence import Status
from tests.simulation.link import DIRECT, Link
from tests.simulation.memory.schedule_states import chain, complete_after_last, disable
from tests.simulation.memory.tables import NEVER, LedgerRow, QueuedRow, ScheduleKey, StoredSchedule, Tables


class MemoryDueQueue:
    def __init__(
        self, tables: Tables, number: int, lease_length: timedelta = lease.LENGTH, link: Link = DIRECT
    ) -> None:
        self._tables = tables
        self._number = number
        self._lease_length = lease_length
        self._link = link

    async def claim(self, limit: int, ahead: timedelta, from_tag: float | None) -> Sequence[Claimed]:
        return await self._link.call(
            "claim", lambda: self._claim(limit, ahead, -math.inf if from_tag is None else from_tag)
        )

    async def overtaken(self, claimed: Sequence[Claimed], until: float) -> set[UUID]:
        async def effect() -> set[UUID]:
            return {item.id for item in claimed if self._is_overtaken(item, datetime.fromtimestamp(until, UTC))}

        return await self._link.call("overtaken", effect)

    async def renew(self, claimed: Sequence[Claimed]) -> Mapping[UUID, tuple[int, int]]:
        async def effect() -> Mapping[UUID, tuple[int, int]]:
            ours = [(item, row) for item, row in await self._ours(claimed) if self._is_renewable(row)]
            for item, row in ours:
                row.lease_until = self._tables.now() + self._lease_length
                row.version += 1
                self._tables.on_change.renewed(item, row.lease_until)
            return {row.id: row.place for _, row in ours}

        return await self._link.call("renew", effect)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        async def effect() -> None:
            for item, row in await self._ours(claimed):
                row.leave()
                self._tables.on_change.given_up(item)

        await self._link.call("release", effect)

    async def put_off(self, claimed: Sequence[Claimed], waits: Sequence[timedelta]) -> None:
        async def effect() -> None:
            wait_of = {item.id: wait for item, wait in zip(claimed, waits, strict=True)}
            for item, row in await self._ours(claimed):
                row.leave()
                row.start_tag = self._tables.now() + wait_of[row.id]
                self._tables.on_change.given_up(item)

        await self._link.call("put_off", effect)

    async def forget(self, claimed: Sequence[Claimed]) -> None:
        async def effect() -> None:
            for _, row in await self._ours(claimed):
                if row.scheduled_for > self._tables.now():
                    del self._tables.queue[row.id]
                    self._tables.on_change.withdrawn(row)

        await self._link.call("forget", effect)

    async def record_ended(self, ended: Sequence[Ended]) -> int:
        """Three statements, as in PostgreSQL: plain ends, those that move their schedule, and what was withdrawn."""
        plain = [item for item in ended if not _moves_schedule(item)]
        moving = [item for item in ended if _moves_schedule(item)]
        ours: set[tuple[UUID, int]] = set()
        for batch in (plain, moving):
            if batch:
                ours |= await self._link.call("record_ended", lambda batch=batch: self._record_ended(batch))
        withdrawn = [item for item in ended if item.status == Status.COMPLETED and _lease_of(item) not in ours]
        if withdrawn:
            await self._link.call("record_withdrawn", lambda: self._record_withdrawn(withdrawn))
        return len(ours)

    async def record_delivered(self, deliveries: Sequence[DeliveredTogether]) -> int:
        """By the rows' places; what is not found there, or a batch with an id that ended, goes the other way."""
        apart = [item for delivery in deliveries for item in _ended_apart(delivery)]

        async def effect() -> set[UUID]:
            await self._tables.unheld(_key(item.claimed) for item in apart)
            found = [item for item in apart if self._is_in_place(item.claimed)]
            if any(item.claimed.id in self._tables.ledger for item in found):
                return set()
            return {id_ for id_, _ in self._end(found)}

        recorded = await self._link.call("record_delivered", effect)
        left = [item for item in apart if item.claimed.id not in recorded]
        return len(recorded) + (await self.record_ended(left) if left else 0)

    async def record_postponed(self, postponed: Sequence[Postponed]) -> int:
        async def effect() -> int:
            by_id = {item.claimed.id: item for item in postponed}
            ours = await self._ours([item.claimed for item in postponed])
            for item, row in ours:
                self._postpone(row, by_id[row.id])
                self._tables.on_change.given_up(item)
            return len(ours)

        return await self._link.call("record_postponed", effect)

    async def _claim(self, limit: int, ahead: timedelta, from_tag: float) -> Sequence[Claimed]:
        """Claim by a snapshot of the schedules, and of which rows there are; each row as it is when it is locked."""
        now = self._tables.now()
        schedules = dict(self._tables.schedules)
        visible = sorted(self._tables.queue.values(), key=lambda row: row.start_tag)
        await self._link.between()
        chosen: list[QueuedRow] = []
        for row in visible:
            is_next = from_tag <= row.start_tag.timestamp() and row.start_tag <= now + ahead
            is_wanted = is_next and self._is_free(row, now)
            if is_wanted and self._tables.queue.get(row.id) is row and not self._tables.is_held(row.key):
                chosen.append(row)
            if len(chosen) == limit:
                break
        for row in chosen:
            row.may_have_started = row.may_have_started or row.lease_until > NEVER
            row.lease_until = now + self._lease_length
            row.lease_token += 1
            row.version += 1
            row.leased_by = self._number
        claimed = [self._claimed(row, schedules) for row in sorted(chosen, key=lambda row: row.start_tag)]
        for item in claimed:
            self._tables.on_change.claimed(self._number, item, now + self._lease_length)
        return claimed

    def _is_overtaken(self, item: Claimed, until: datetime) -> bool:
        tables = self._tables
        rows = [row for row in (*tables.queue.values(), *tables.ledger.values()) if row.kind == "SCHEDULED"]
        later = [row for row in rows if _key(row) == _key(item) and row.scheduled_for > item.instant]
        cursor = tables.cursors.get(_key(item))
        is_unplanned = cursor is not None and cursor.next_fire_at is not None and cursor.next_fire_at < until
        is_there = any(row.due_at < until and getattr(row, "status", None) != "CANCELLED" for row in later)
        return is_there or is_unplanned

    def _is_free(self, row: QueuedRow, now: datetime) -> bool:
        return row.lease_until < now

    def _is_in_place(self, claimed: Claimed) -> bool:
        row = self._tables.queue.get(claimed.id)
        return row is not None and row.place == claimed.place and self._is_ours(claimed)

    def _is_renewable(self, row: QueuedRow) -> bool:
        return row.lease_until > self._tables.now()

    def _claimed(self, row: QueuedRow, schedules: dict[ScheduleKey, StoredSchedule]) -> Claimed:
        stored = schedules.get(row.key)
        schedule = None if stored is None else stored.schedule
        return Claimed(
            row.tenant_id,
            row.schedule_id,
            row.id,
            row.kind,
            row.revision,
            row.scheduled_for.timestamp(),
            row.due_at.timestamp(),
            row.start_tag.timestamp(),
            row.lease_token,
            row.attempt_count,
            row.was_tried,
            row.is_last,
            row.place,
            None if schedule is None else schedule.revision,
            None if schedule is None else schedule.state,
            None if stored is None else stored.definition_text,
            may_have_started=row.may_have_started,
        )

    async def _ours(self, claimed: Sequence[Claimed]) -> list[tuple[Claimed, QueuedRow]]:
        """Return the rows whose token is the one they were claimed with, once no change holds any of them."""
        await self._tables.unheld(_key(item) for item in claimed)
        return [(item, self._tables.queue[item.id]) for item in claimed if self._is_ours(item)]

    def _is_ours(self, claimed: Claimed) -> bool:
        row = self._tables.queue.get(claimed.id)
        return row is not None and row.lease_token == claimed.lease_token

    async def _record_ended(self, ended: Sequence[Ended]) -> set[tuple[UUID, int]]:
        await self._tables.unheld(_key(item.claimed) for item in ended)
        return self._end([item for item in ended if self._is_ours(item.claimed)])

    def _end(self, ended: Sequence[Ended]) -> set[tuple[UUID, int]]:
        ours = list({item.claimed.id: item for item in ended}.values())
        rows = [self._tables.queue.pop(item.claimed.id) for item in ours]
        for row, item in zip(rows, ours, strict=True):
            self._tables.end(_ledger_row(row, item))
            self._tables.on_change.ended(item.claimed)
        self._move_schedules(list(zip(rows, ours, strict=True)))
        return {_lease_of(item) for item in ours}

    def _move_schedules(self, ended: Sequence[tuple[QueuedRow, Ended]]) -> None:
        for row, item in ended:
            if item.disabled_revision is not None:
                reason = item.error or "disabled by its target"
                disable(self._tables, row.key, item.disabled_revision, reason)
        for row, item in ended:
            if item.next_due_at is not None and not item.claimed.is_last:
                chain(self._tables, row, item.next_due_at)
        for row, item in ended:
            if item.claimed.is_last:
                complete_after_last(self._tables, row)

    async def _record_withdrawn(self, ended: Sequence[Ended]) -> None:
        for item in ended:
            if item.claimed.id not in self._tables.queue:
                self._tables.correct(_ledger_row(item.claimed, item))

    def _postpone(self, row: QueuedRow, item: Postponed) -> None:
        row.leave()
        row.start_tag = item.retry_at
        row.attempt_count = item.attempt_count
        row.first_fired_at = row.first_fired_at or item.fired_at
        if item.counts:
            self._tables.attempts.setdefault((row.id, item.attempt_count), item.error)


def _ledger_row(row: QueuedRow | Claimed, item: Ended) -> LedgerRow:
    instants = (row.scheduled_for, row.due_at) if isinstance(row, QueuedRow) else (row.instant, _utc(row.due_at))
    return LedgerRow(
        row.tenant_id,
        row.id,
        row.schedule_id,
        row.kind,
        row.revision,
        *instants,
        item.status,
        item.reason,
        item.attempt_count,
        item.fired_at,
        item.ended_at,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ended_apart(delivery: DeliveredTogether) -> list[Ended]:
    return [
        Ended(claimed, Status.COMPLETED, None, 1, delivery.fired_at, delivery.ended_at, delivery.duration_ms, kind)
        for claimed, kind in zip(delivery.claimed, delivery.target_kinds, strict=True)
    ]


def _key(claimed: Claimed | QueuedRow | LedgerRow) -> ScheduleKey:
    return ScheduleKey(claimed.tenant_id, claimed.schedule_id)


def _lease_of(item: Ended) -> tuple[UUID, int]:
    return item.claimed.id, item.claimed.lease_token


def _moves_schedule(item: Ended) -> bool:
    return item.claimed.is_last or item.disabled_revision is not None or item.next_due_at is not None
