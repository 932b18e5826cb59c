"""Accept: check a definition, plan its next minute, and store all of it at once.

What is due within the planner's lookahead is planned here, in the same statement: a schedule created ten seconds before
its instant does not wait for the planner to pass by.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.schedules import Accepted, Schedules
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import schedule_id
from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule, placed, plan
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import OneShotTrigger, Schedule, ScheduleDefinition, ScheduleState
from scheduler_domain.domain.triggers import Instant, TriggerError
from scheduler_domain.domain.validation import TargetPolicy, check_definition, checked_rule, rule_problem

SOON = timedelta(seconds=5)
"""Sooner than this a dispatcher has to be told: its next look at the queue could come too late."""


class AcceptSchedule:
    """Stores new schedules. `draw` yields ten random bytes a call; they make ids unguessable and distinct."""

    def __init__(
        self,
        schedules: Schedules,
        clock: Clock,
        draw: Callable[[], bytes],
        policy: TargetPolicy,
        lookahead: timedelta,
        tags: StartTags,
    ) -> None:
        self._schedules = schedules
        self._clock = clock
        self._draw = draw
        self._policy = policy
        self._lookahead = lookahead
        self._tags = tags

    async def __call__(self, caller: Caller, definition: ScheduleDefinition, once: Once[Schedule]) -> Schedule:
        """Return the stored schedule. Raises InvalidField with every problem found, KeyTaken, and AnswerTaken."""
        accepted = self._accepted(caller, definition)
        await self._schedules.add(accepted, once.remembered(accepted.schedule))
        return accepted.schedule

    def _accepted(self, caller: Caller, definition: ScheduleDefinition) -> Accepted:
        now = self._clock.now()
        check_definition(definition, caller.tenant_id, self._policy)
        first = first_instant(definition, now)
        unplaced = Cursor(
            caller.tenant_id,
            schedule_id(now, self._draw()),
            1,
            PlanningRule.of(definition),
            now,
            next_fire_at=None,
        )
        return accepted_schedule(caller, definition, placed(unplaced, first), first, self._lookahead, self._tags)


def accepted_schedule(
    caller: Caller,
    definition: ScheduleDefinition,
    cursor: Cursor,
    first: Instant,
    lookahead: timedelta,
    tags: StartTags,
) -> Accepted:
    """Return a new schedule whose definition was checked and whose cursor stands at its first instant."""
    now = cursor.created_at
    planned = _planned(cursor, first, now, lookahead, tags) if definition.enabled else unplanned(cursor)
    schedule = Schedule(
        id=cursor.schedule_id,
        tenant_id=caller.tenant_id,
        definition=definition,
        state=ScheduleState.ACTIVE if definition.enabled else ScheduleState.PAUSED,
        state_reason=None,
        revision=1,
        version=1,
        next_fire_at=next_instant(planned),
        last_fire_at=None,
        created_at=now,
        updated_at=now,
        created_by=caller.subject,
    )
    return Accepted(schedule, planned, is_soon(planned, now))


def _planned(cursor: Cursor, first: Instant, now: datetime, lookahead: timedelta, tags: StartTags) -> Plan:
    if isinstance(cursor.rule.trigger, OneShotTrigger) and first.at < now:
        return run_now(cursor, first, now, tags)
    return planned_ahead(cursor, now, now + lookahead, tags)


def first_instant(definition: ScheduleDefinition, now: datetime) -> Instant:
    """Return the first occurrence of a new rule; InvalidField where there is none, so that none is ever stored."""
    rule = checked_rule(definition, created_at=now)
    try:
        return rule.first(now)
    except TriggerError as error:
        raise rule_problem(error) from None


def planned_ahead(cursor: Cursor, now: datetime, until: datetime, tags: StartTags) -> Plan:
    """Plan what is due up to `until`; what is due later waits for the planner, and its cursor stays as it is."""
    if cursor.next_fire_at is None or cursor.next_fire_at > until:
        return Plan(cursor, cursor, [], [], finished=cursor.next_fire_at is None)
    return plan(cursor, now, until, tags)


def run_now(cursor: Cursor, first: Instant, now: datetime, tags: StartTags) -> Plan:
    """Plan a past one-shot that is to run all the same: scheduled for its instant, due now, however long ago it was."""
    planned = plan(cursor, first.at, now, tags)
    due = [msgspec.structs.replace(item, due_at=now, start_tag=now) for item in planned.due]
    return msgspec.structs.replace(planned, due=due)


def unplanned(cursor: Cursor) -> Plan:
    """Return the plan of a schedule that fires nothing for now: its cursor names no instant."""
    return Plan(cursor, msgspec.structs.replace(placed(cursor, None), checkpoint=None), [], [], finished=False)


def next_instant(planned: Plan) -> datetime | None:
    """Return the next instant of the plan, be it in the queue already or not."""
    ahead = [item.scheduled_for for item in planned.due]
    following = planned.after.next_fire_at
    return min(ahead if following is None else [*ahead, following], default=None)


def is_soon(planned: Plan, now: datetime) -> bool:
    return any(item.due_at <= now + SOON for item in planned.due)
