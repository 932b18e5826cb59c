"""The tables, and the lock of a schedule that a change holds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.misfire import Absence
from scheduler_domain.domain.occurrence import OccurrenceKind, Status
from scheduler_domain.domain.planning import Cursor
from scheduler_domain.domain.schedule import Schedule
from scheduler_domain.domain.withdrawal import QueuedOccurrence

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The end of no lease at all."""


class ScheduleKey(NamedTuple):
    tenant_id: str
    schedule_id: UUID


class StoredSchedule(Struct, frozen=True):
    """A version of a schedule's row; a change stores another."""

    schedule: Schedule
    definition_text: str
    paused_at: datetime | None = None
    resume_at: datetime | None = None
    in_force_since: datetime | None = None

    @classmethod
    def of(cls, schedule: Schedule, paused_at: datetime | None = None) -> "StoredSchedule":
        return cls(schedule, msgspec.json.encode(schedule.definition).decode(), paused_at)


@dataclass(slots=True)
class QueuedRow:
    tenant_id: str
    schedule_id: UUID
    id: UUID
    kind: str
    revision: int
    scheduled_for: datetime
    due_at: datetime
    start_tag: datetime
    is_last: bool = False
    lease_until: datetime = NEVER
    lease_token: int = 0
    leased_by: int | None = None
    attempt_count: int = 0
    first_fired_at: datetime | None = None
    may_have_started: bool = False
    version: int = 0
    """Where the row is kept: each write of a row puts it elsewhere."""

    @property
    def key(self) -> ScheduleKey:
        return ScheduleKey(self.tenant_id, self.schedule_id)

    @property
    def was_tried(self) -> bool:
        return self.first_fired_at is not None

    def leave(self) -> None:
        """Take the lease from whoever has it."""
        self.lease_until, self.leased_by = NEVER, None
        self.version += 1

    @property
    def place(self) -> tuple[int, int]:
        return 0, self.version

    def as_seen_by_a_change(self) -> QueuedOccurrence:
        return QueuedOccurrence(
            self.id,
            OccurrenceKind(self.kind),
            self.scheduled_for,
            self.due_at,
            self.lease_until,
            self.leased_by,
            self.was_tried,
            self.start_tag,
            self.is_last,
            is_requested=False,
        )


class LedgerRow(Struct, frozen=True):
    tenant_id: str
    id: UUID
    schedule_id: UUID
    kind: str
    revision: int
    scheduled_for: datetime
    due_at: datetime
    status: str
    reason: str | None
    attempt_count: int
    fired_at: datetime | None
    ended_at: datetime


@dataclass(slots=True)
class DispatcherRow:
    heartbeat_at: datetime
    obeyed: frozenset[int] = frozenset()


class Revoked(Struct, frozen=True):
    """A change that `holders` have to obey; they may rely on leases of before it until `held_until`."""

    made_at: datetime
    sequence: int
    key: ScheduleKey
    holders: Sequence[int]
    held_until: datetime


class Listener:
    """What a store tells its surroundings, as PostgreSQL does by notifications; a simulation's witness hears more."""

    def planned(self, row: QueuedRow) -> None:
        """A row was inserted into the queue."""

    def changed(self, key: ScheduleKey, at: datetime, before: Cursor) -> None:
        """A person's change of a schedule was committed; `at` is the instant that it was decided for."""

    def withdrawn(self, row: QueuedRow) -> None:
        """A change took the row out of the queue."""

    def taken_back(self, row: QueuedRow) -> None:
        """A change took the row's lease from its holder and left it in the queue."""

    def claimed(self, holder: int, claimed: Claimed, until: datetime) -> None:
        """A dispatcher is answered that it has the row until then, renewals apart."""

    def renewed(self, claimed: Claimed, until: datetime) -> None:
        """A dispatcher is answered that it goes on having the row."""

    def given_up(self, claimed: Claimed) -> None:
        """A holder's release, or its record of a failed attempt, was accepted."""

    def ended(self, claimed: Claimed) -> None:
        """A holder's record of the end was accepted."""

    def due_soon(self) -> None:
        """NOTIFY scheduler_due."""

    def revoked(self) -> None:
        """NOTIFY scheduler_revoked."""

    def disabled(self, key: ScheduleKey, before: Cursor) -> None:
        """A schedule was disabled by a target's answer."""


@dataclass
class Tables:
    """`now` is the database's clock. `on_change` hears of what others' work rests on."""

    now: Callable[[], datetime]
    on_change: Listener = field(default_factory=Listener)
    schedules: dict[ScheduleKey, StoredSchedule] = field(default_factory=dict)
    cursors: dict[ScheduleKey, Cursor] = field(default_factory=dict)
    queue: dict[UUID, QueuedRow] = field(default_factory=dict)
    ledger: dict[UUID, LedgerRow] = field(default_factory=dict)
    attempts: dict[tuple[UUID, int], str] = field(default_factory=dict)
    dispatchers: dict[int, DispatcherRow] = field(default_factory=dict)
    seen_at: datetime | None = None
    absence: Absence | None = None
    revocations: list[Revoked] = field(default_factory=list)
    sequence: Iterator[int] = field(default_factory=lambda: count(1))
    _held: set[ScheduleKey] = field(default_factory=set)
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @asynccontextmanager
    async def holding(self, key: ScheduleKey) -> AsyncIterator[None]:
        """Hold a schedule with its cursor and all it has in the queue: claims pass by, other writes wait."""
        await self.unheld((key,))
        self._held.add(key)
        try:
            yield
        finally:
            self._held.remove(key)
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def is_held(self, key: ScheduleKey) -> bool:
        return key in self._held

    async def unheld(self, keys: Iterable[ScheduleKey]) -> None:
        """Return at a moment at which nobody holds any of the schedules.

        Not by a lock of asyncio: that is handed to the next waiter, who may have been killed.
        """
        wanted = set(keys)
        while not self._held.isdisjoint(wanted):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def queued_of(self, key: ScheduleKey) -> list[QueuedRow]:
        return sorted((row for row in self.queue.values() if row.key == key), key=lambda row: row.id)

    def insert(self, row: QueuedRow) -> bool:
        """Queue a row; a row of that id stays as it is (ON CONFLICT DO NOTHING)."""
        if row.id in self.queue:
            return False
        self.queue[row.id] = row
        self.on_change.planned(row)
        return True

    def is_revocation_pending(self, revoked: Revoked) -> bool:
        """Tell whether a holder that has not obeyed may rely on a lease, of before the change or renewed since."""
        now = self.now()
        silent = {
            number
            for number in revoked.holders
            if number in self.dispatchers and revoked.sequence not in self.dispatchers[number].obeyed
        }
        is_renewed = any(row.leased_by in silent and row.lease_until > now for row in self.queued_of(revoked.key))
        return bool(silent) and (revoked.held_until > now or is_renewed)

    def end(self, row: LedgerRow) -> None:
        """Write the end of an occurrence; what has ended stays as it ended (ON CONFLICT DO NOTHING)."""
        self.ledger.setdefault(row.id, row)

    def correct(self, row: LedgerRow) -> None:
        """Write a delivery that was not recorded in time, also where it was written as withdrawn or missed since."""
        known = self.ledger.get(row.id)
        if known is None or known.status in {Status.CANCELLED, Status.SKIPPED}:
            self.ledger[row.id] = row
