"""Change: edit, replace, pause, resume and delete, each one transaction under the schedule's lock.

After a change is answered, no attempt starts that it forbids. A dispatcher may hold occurrences in memory, leased
before the change: the same transaction records a revocation, and the answer waits until each such dispatcher has
confirmed that it let go, or its lease has run out (docs/decisions/0007). A request that finds nothing left to change
waits as well: it may be the repetition of one whose answer never came.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.application.accept_schedule import is_soon, next_instant
from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.plan_anew import Planner, is_decided_by_an_end, stopped, unmoved
from scheduler_domain.application.ports.schedules import Changed, HeldSchedule, Schedules
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.application.until_let_go import answered_in_time, until_let_go
from scheduler_domain.domain.errors import InvalidField, NotFound, VersionMismatch
from scheduler_domain.domain.fired_days import LATELY, MOST_LATELY
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import Plan, PlanningRule
from scheduler_domain.domain.repeats import repeats_until
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import Schedule, ScheduleDefinition, ScheduleState
from scheduler_domain.domain.template import InstanceOrigin
from scheduler_domain.domain.validation import TargetPolicy, check_definition, checked_rule
from scheduler_domain.domain.withdrawal import (
    Ending,
    QueuedOccurrence,
    Withdrawal,
    withdraw,
    withdraw_nothing,
    withdraw_remains,
)

Edit = Callable[[ScheduleDefinition], ScheduleDefinition]
"""From the definition as it stands to the one that is wanted."""


class Precondition(Struct, frozen=True):
    """The versions that a client is willing to change; None: any. `needs_existing` where it named some, or `*`."""

    versions: frozenset[int] | None = None
    needs_existing: bool = False

    def check(self, version: int) -> None:
        if self.versions is not None and version not in self.versions:
            raise VersionMismatch(
                f"this has version {version} by now; read it again and repeat the change on what it is"
            )


class Pause(Struct, frozen=True):
    reason: str | None = None
    resume_at: datetime | None = None


class ChangeSchedule:
    """The use cases that hold a schedule. All raise NotFound, and VersionMismatch by their precondition.

    All raise Unavailable where they are not answered in time (until_let_go.py). The change may have been made by then;
    a repetition of the request finds it made, and is answered once dispatchers have let go.
    """

    def __init__(self, schedules: Schedules, policy: TargetPolicy, planner: Planner) -> None:
        self._schedules = schedules
        self._policy = policy
        self._planner = planner

    async def edit(
        self,
        caller: Caller,
        schedule_id: UUID,
        precondition: Precondition,
        edit: Edit,
        origin: InstanceOrigin | None = None,
        was: InstanceOrigin | None = None,
    ) -> Schedule:
        """Return the edited schedule, or the one that is, where the edit changes nothing.

        `origin` is what the edit comes from where the schedule is an instance of a template; it is remembered with it.
        With `was` nothing is changed unless that is what the instance still comes from.
        Raises InvalidField with every problem found, and KeyTaken.
        """
        async with self._changing(caller.tenant_id, schedule_id) as held:
            before = _found(held, precondition)
            if origin is not None and not await before.remember_origin(origin, was):
                return before.schedule
            definition = edit(before.schedule.definition)
            if definition == before.schedule.definition:
                return before.schedule
            check_definition(definition, caller.tenant_id, self._policy)
            checked_rule(definition, before.schedule.created_at)
            changed = self._edited(before, definition, await _fired_lately(before, before.now))
            await before.change(changed, None)
            return changed.schedule

    async def pause(
        self, caller: Caller, schedule_id: UUID, precondition: Precondition, pause: Pause, once: Once[Schedule]
    ) -> Schedule:
        """Withdraw what is planned and plan nothing more. A schedule that fires nothing already stays as it is."""
        async with self._changing(caller.tenant_id, schedule_id) as held:
            before = _found(held, precondition)
            if pause.resume_at is not None and pause.resume_at <= before.now:
                raise InvalidField.at("/resumeAt", "not-in-the-future", "resumeAt lies in the future, or is left out")
            if _is_paused_so_already(before, pause):
                await before.remember(once.remembered(before.schedule))
                return before.schedule
            changed = self._paused(before, before.schedule.definition, pause)
            await before.change(changed, once.remembered(changed.schedule))
            return changed.schedule

    async def resume(
        self, caller: Caller, schedule_id: UUID, precondition: Precondition, catch_up: bool, once: Once[Schedule]
    ) -> Schedule:
        """Plan from now on or, to catch up, from the instant of the pause by the misfire policy."""
        async with answered_in_time(), self._schedules.held(caller.tenant_id, schedule_id) as held:
            before = _found(held, precondition)
            if before.schedule.definition.enabled:
                await before.remember(once.remembered(before.schedule))
                return before.schedule
            from_ = before.paused_at if catch_up and before.paused_at is not None else before.now
            enabled = replace(before.schedule.definition, enabled=True)
            changed = self._resumed(before, enabled, from_, await _fired_lately(before, from_))
            if from_ != before.now:
                changed = replace(changed, in_force_since=before.in_force_since)  # as if there had been no pause
            await before.change(changed, once.remembered(changed.schedule))
            return changed.schedule

    async def delete(self, caller: Caller, schedule_id: UUID, precondition: Precondition) -> None:
        """Delete the schedule; what is under way finishes, what waits is cancelled, and its history stays."""
        async with self._changing(caller.tenant_id, schedule_id) as held:
            if held is not None:
                precondition.check(held.schedule.version)
                await held.delete(withdraw(held.queued, held.now, Ending.DELETED), Ending.DELETED)
        if held is None:
            raise NotFound(NO_SUCH_SCHEDULE)

    async def settled(self, caller: Caller, schedule_ids: Sequence[UUID]) -> None:
        """Return once no dispatcher can start what changes of these schedules forbade. Raises Unavailable."""
        async with answered_in_time():
            await until_let_go(self._schedules, caller.tenant_id, schedule_ids)

    def _edited(self, held: HeldSchedule, definition: ScheduleDefinition, fired: Collection[UUID] | None) -> Changed:
        was_enabled = held.schedule.definition.enabled
        if not definition.enabled and was_enabled:
            return self._paused(held, definition, Pause())
        if definition.enabled and not was_enabled:
            return self._resumed(held, definition, held.now, fired)
        schedule = _revised(held, definition)
        unwithdrawn = _withdrawn_by_none(held, schedule)
        if not definition.enabled:
            planned = stopped(held, schedule, unwithdrawn)
            changed = _changed(held, schedule, planned, unwithdrawn)
            return replace(changed, paused_at=held.paused_at, resume_at=held.resume_at)
        if PlanningRule.of(definition) == PlanningRule.of(held.schedule.definition):
            return _changed(held, schedule, unmoved(held, schedule), unwithdrawn)
        withdrawal = withdraw(held.queued, held.now, Ending.REPLANNED)
        planned = self._planner.edited(held, schedule, withdrawal, _done(held, withdrawal, fired))
        return _changed(held, _planned_anew(held, schedule, planned, withdrawal), planned, withdrawal)

    def _paused(self, held: HeldSchedule, definition: ScheduleDefinition, pause: Pause) -> Changed:
        schedule = replace(
            _revised(held, replace(definition, enabled=False)),
            state=ScheduleState.PAUSED,
            state_reason=pause.reason,
            next_fire_at=None,
        )
        withdrawal = withdraw(held.queued, held.now, Ending.PAUSED)
        changed = _changed(held, schedule, stopped(held, schedule, withdrawal), withdrawal, Ending.PAUSED)
        paused_at = held.paused_at if held.schedule.state == ScheduleState.PAUSED else held.now
        return replace(changed, paused_at=paused_at, resume_at=pause.resume_at)

    def _resumed(
        self, held: HeldSchedule, definition: ScheduleDefinition, from_: datetime, fired: Collection[UUID] | None
    ) -> Changed:
        schedule = _revised(held, definition)
        reason = Ending.DISABLED if held.schedule.state == ScheduleState.DISABLED else Ending.PAUSED
        remains = withdraw_remains(held.queued, held.now)
        planned = self._planner.resumed(held, schedule, remains, from_, _done(held, remains, fired))
        return _changed(held, _planned_anew(held, schedule, planned, remains), planned, remains, reason)

    @asynccontextmanager
    async def _changing(self, tenant_id: str, schedule_id: UUID) -> AsyncIterator[HeldSchedule | None]:
        """Hold the schedule for a change; whoever has left the context may say that nothing forbidden starts."""
        async with answered_in_time():
            async with self._schedules.held(tenant_id, schedule_id) as held:
                yield held
            await until_let_go(self._schedules, tenant_id, [schedule_id])


def _found(held: HeldSchedule | None, precondition: Precondition) -> HeldSchedule:
    if held is None:
        raise NotFound(NO_SUCH_SCHEDULE)
    precondition.check(held.schedule.version)
    return held


async def _fired_lately(held: HeldSchedule, from_: datetime) -> Collection[UUID] | None:
    """Return what an instance of a template fired for on the local dates that may go on at `from_`; else None."""
    return await held.fired_since(from_ - LATELY, MOST_LATELY) if held.is_instance else None


def _done(held: HeldSchedule, withdrawal: Withdrawal, fired: Collection[UUID] | None) -> Collection[UUID]:
    """Return what an instance is not fired for once more: what was, and what is under way."""
    return () if fired is None else (*fired, *_under_way(held, withdrawal))


def _is_paused_so_already(held: HeldSchedule, pause: Pause) -> bool:
    """A disabled schedule fires nothing either, and keeps the reason that it was disabled for."""
    state = held.schedule.state
    is_same = pause in (Pause(), Pause(held.schedule.state_reason, held.resume_at))
    return state == ScheduleState.DISABLED or (state == ScheduleState.PAUSED and is_same)


def _revised(held: HeldSchedule, definition: ScheduleDefinition) -> Schedule:
    """Return the schedule with the new definition; anything that a delivery reads of it makes a new revision."""
    before = held.schedule
    unread = {"labels": definition.labels, "description": definition.description, "enabled": definition.enabled}
    is_revised = replace(before.definition, **unread) != definition
    return replace(
        before,
        definition=definition,
        revision=before.revision + is_revised,
        version=before.version + 1,
        updated_at=held.now,
    )


def _withdrawn_by_none(held: HeldSchedule, schedule: Schedule) -> Withdrawal:
    """Leave the queue as it is; but a new revision has to reach those who hold occurrences of the old one."""
    return withdraw_nothing(held.queued if schedule.revision != held.schedule.revision else (), held.now)


def _planned_anew(held: HeldSchedule, schedule: Schedule, planned: Plan, withdrawal: Withdrawal) -> Schedule:
    """Return the schedule as ACTIVE, or as COMPLETED where nothing is planned, to come, or under way to decide it."""
    next_fire_at = next_instant(planned)
    is_over = next_fire_at is None and not (planned.after.rule.is_chained and is_decided_by_an_end(held, withdrawal))
    state = ScheduleState.COMPLETED if is_over else ScheduleState.ACTIVE
    return replace(schedule, state=state, state_reason=None, next_fire_at=next_fire_at)


def _under_way(held: HeldSchedule, withdrawal: Withdrawal) -> list[UUID]:
    """Return the occurrences of the plan that were started, and finish whatever becomes of their schedule."""
    return [row.id for row in _staying(held, withdrawal) if row.kind == OccurrenceKind.SCHEDULED]


def _staying(held: HeldSchedule, withdrawal: Withdrawal) -> list[QueuedOccurrence]:
    return [row for row in held.queued if row.id not in withdrawal.leaving]


def _changed(
    held: HeldSchedule, schedule: Schedule, planned: Plan, withdrawal: Withdrawal, reason: Ending = Ending.REPLANNED
) -> Changed:
    rule = PlanningRule.of(schedule.definition)
    is_chained_anew = rule.is_chained and not held.cursor.rule.is_chained
    is_resumed = schedule.definition.enabled and not held.schedule.definition.enabled
    return Changed(
        schedule,
        paused_at=None,
        resume_at=None,
        plan=planned,
        withdrawal=withdrawal,
        reason=reason,
        is_soon=is_soon(planned, held.now),
        in_force_since=held.now if is_resumed or rule != held.cursor.rule else held.in_force_since,
        repeats_until=repeats_until(held.cursor.rule, rule, held.cursor.repeats_until, held.now),
        unchained=[row.id for row in _staying(held, withdrawal) if row.is_planned] if is_chained_anew else (),
    )
