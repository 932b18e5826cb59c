"""Schedules as the API keeps them. Everything is asked for and changed within one tenant."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct, field

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.domain.backfill import PastInstant
from scheduler_domain.domain.planning import Cursor, Plan
from scheduler_domain.domain.schedule import Schedule, ScheduleState
from scheduler_domain.domain.target import TargetKind
from scheduler_domain.domain.template import InstanceOrigin
from scheduler_domain.domain.withdrawal import QueuedOccurrence, Withdrawal

SortField = Literal["nextFireAt", "name", "createdAt"]


class SchedulesWanted(Struct, frozen=True, kw_only=True):
    """Which schedules, in which order, from where on. `after` is a cursor of the same order, and wins over `page`."""

    state: ScheduleState | None = None
    enabled: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    trigger: str | None = None
    target_kind: TargetKind | None = None
    sort: SortField = "createdAt"
    is_descending: bool = True
    page: int = 1
    page_size: int = 20
    after: str | None = None


class SchedulesPage(Struct, frozen=True):
    schedules: Sequence[Schedule]
    total: int
    next_cursor: str | None


class Accepted(Struct, frozen=True):
    """A new schedule with the plan of its next minute; `is_soon` where a dispatcher should hear of it at once."""

    schedule: Schedule
    plan: Plan
    is_soon: bool


class Changed(Struct, frozen=True):
    """What a change leaves behind: the schedule, its cursor, what was withdrawn, and what is planned instead.

    `in_force_since`: from when on the rule, as it is now, has been planned; None: since the schedule was created.
    `repeats_until`: until when it may name again what it has named (domain/repeats.py).
    `unchained`: what was started before the schedule ran from completion; no next follows from the ends of these.
    """

    schedule: Schedule
    paused_at: datetime | None
    resume_at: datetime | None
    plan: Plan
    withdrawal: Withdrawal
    reason: str
    is_soon: bool
    in_force_since: datetime | None = None
    repeats_until: datetime | None = None
    unchained: Sequence[UUID] = ()


class HeldSchedule(Protocol):
    """A schedule nobody else can change, plan or trigger until the holder is done."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def cursor(self) -> Cursor: ...
    @property
    def paused_at(self) -> datetime | None: ...
    @property
    def resume_at(self) -> datetime | None: ...
    @property
    def in_force_since(self) -> datetime | None: ...
    @property
    def is_instance(self) -> bool:
        """Whether it comes from a template."""

    @property
    def last_ended_at(self) -> datetime | None:
        """When the newest occurrence of the plan ended; asked of schedules that run from completion."""

    @property
    def queued(self) -> Sequence[QueuedOccurrence]: ...

    @property
    def now(self) -> datetime:
        """The database's clock when the hold began: the clock that leases are timed by."""

    async def fired_since(self, from_: datetime, limit: int) -> Sequence[UUID]:
        """Return the occurrences of its plan that ended after an attempt and were scheduled for then or later."""

    async def remember_origin(self, origin: InstanceOrigin, was: InstanceOrigin | None) -> bool:
        """Note what the schedule is made from by now; False where it is no instance of it, or not as it was."""

    async def change(self, changed: Changed, remembered: RememberedAnswer | None) -> None:
        """Store what changed, all or nothing, and tell those who hold occurrences of before to let go of them.

        Raises KeyTaken, and AnswerTaken where another request has answered under the same idempotency key meanwhile.
        """

    async def delete(self, withdrawal: Withdrawal, reason: str) -> None: ...

    async def cancel(
        self, row: QueuedOccurrence, next_due_at: datetime | None, remembered: RememberedAnswer | None
    ) -> None:
        """End one occurrence that nobody holds as CANCELLED, and let its schedule go on. Raises AnswerTaken."""

    async def revoke(self, row: QueuedOccurrence) -> None:
        """Ask the dispatcher that holds this one occurrence to give it back."""

    async def backfill(self, wanted: Sequence[PastInstant], waits: Sequence[timedelta]) -> int:
        """Queue those of the instants that did not run, each to be due after its wait; return how many."""

    async def remember(self, remembered: RememberedAnswer | None) -> None:
        """Keep the answer together with what was done. Raises AnswerTaken."""


class Schedules(Protocol):
    async def add(self, accepted: Accepted, remembered: RememberedAnswer | None) -> None:
        """Store schedule, cursor and planned occurrences, all or nothing. Raises KeyTaken and AnswerTaken."""

    async def by_id(self, tenant_id: str, schedule_id: UUID) -> Schedule | None: ...

    async def by_key(self, tenant_id: str, key: str) -> Schedule | None: ...

    async def run_count(self, tenant_id: str, schedule_id: UUID) -> int:
        """Return how many occurrences of its plan the schedule has had; none where there is no such schedule."""

    async def wanted(self, tenant_id: str, wanted: SchedulesWanted) -> SchedulesPage: ...

    def held(self, tenant_id: str, schedule_id: UUID) -> AbstractAsyncContextManager[HeldSchedule | None]:
        """Hold the schedule for the length of the context; leaving it by an exception undoes everything."""

    async def is_obeyed(self, tenant_id: str, schedule_ids: Sequence[UUID]) -> bool:
        """Return whether no dispatcher can start an attempt any more that a change of these schedules forbade.

        Of a schedule that is gone, too, and whoever made the change.
        """
