"""Plan anew: what a schedule is due next after it was edited or resumed.

Everything here is decided from the schedule as it was, as it is to be, and the database's clock; nothing is stored.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.application.accept_schedule import planned_ahead, run_now
from scheduler_domain.application.ports.schedules import HeldSchedule
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.fired_days import first_left
from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule, placed
from scheduler_domain.domain.schedule import FixedDelayTrigger, OneShotTrigger, Schedule
from scheduler_domain.domain.triggers import TriggerError, tzdata_version
from scheduler_domain.domain.validation import checked_rule, rule_problem
from scheduler_domain.domain.withdrawal import Withdrawal


class Planner(Struct, frozen=True):
    """Plans changed schedules from `held.now`, as far ahead as the planner of the dispatchers does."""

    lookahead: timedelta
    tags: StartTags

    def edited(
        self,
        held: HeldSchedule,
        schedule: Schedule,
        withdrawal: Withdrawal,
        fired: Collection[UUID] = (),
    ) -> Plan:
        """Plan a schedule whose rule changed. InvalidField where the new rule would never fire.

        `fired` holds what an instance of a template was fired for lately: it keeps its days (domain/fired_days.py).
        A one-shot names its one instant, and goes by that.
        """
        cursor = _cursor(held, schedule, withdrawal)
        if cursor.rule.is_chained:
            return self._ahead(replace(cursor, next_fire_at=_next_of_edited_chain(held, cursor, withdrawal)), held.now)
        if not _is_about_something_else(held.cursor.rule, cursor.rule):
            return self._from(cursor, held.now, held.now)
        rule = checked_rule(cursor.rule, cursor.created_at)
        try:
            first = rule.first(held.now)
        except TriggerError as error:
            raise rule_problem(error) from None
        if isinstance(cursor.rule.trigger, OneShotTrigger) and first.at < held.now:
            return run_now(placed(cursor, first), first, held.now, self.tags)
        if fired and not isinstance(cursor.rule.trigger, OneShotTrigger):
            return self._ahead(placed(cursor, first_left(rule, held.now, fired)), held.now)
        return self._ahead(placed(cursor, first), held.now)

    def resumed(
        self,
        held: HeldSchedule,
        schedule: Schedule,
        remains: Withdrawal,
        from_: datetime,
        fired: Collection[UUID] = (),
    ) -> Plan:
        """Plan a schedule that was paused, from now or, to catch up, from the instant of its pause.

        `fired` as for an edit: an instance of a template that was moved keeps its days across a pause.
        """
        cursor = _cursor(held, schedule, remains)
        if cursor.rule.is_chained:
            return self._ahead(replace(cursor, next_fire_at=_next_of_resumed_chain(held, cursor, remains)), held.now)
        if fired and not isinstance(cursor.rule.trigger, OneShotTrigger):
            rule = checked_rule(cursor.rule, cursor.created_at)
            return self._ahead(placed(cursor, first_left(rule, from_, fired)), held.now)
        return self._from(cursor, from_, held.now)

    def _from(self, cursor: Cursor, from_: datetime, now: datetime) -> Plan:
        page = checked_rule(cursor.rule, cursor.created_at).page(from_ - timedelta(microseconds=1), limit=1)
        return self._ahead(placed(cursor, page.instants[0] if page.instants else None), now)

    def _ahead(self, cursor: Cursor, now: datetime) -> Plan:
        most = cursor.rule.max_runs
        if most is not None and cursor.run_count >= most:
            return Plan(cursor, placed(cursor, None), [], [], finished=True)
        return planned_ahead(cursor, now, now + self.lookahead, self.tags)


def unmoved(held: HeldSchedule, schedule: Schedule) -> Plan:
    """Return the plan of a schedule whose rule is as it was: the cursor stays, under the schedule's revision."""
    cursor = replace(held.cursor, revision=schedule.revision, rule=PlanningRule.of(schedule.definition))
    return Plan(cursor, cursor, [], [], finished=False)


def stopped(held: HeldSchedule, schedule: Schedule, withdrawal: Withdrawal) -> Plan:
    """Return the plan of a schedule that is paused: none."""
    cursor = _cursor(held, schedule, withdrawal)
    return Plan(cursor, cursor, [], [], finished=False)


def _cursor(held: HeldSchedule, schedule: Schedule, withdrawal: Withdrawal) -> Cursor:
    """Return the cursor before anything is planned; withdrawn occurrences do not count as runs."""
    return Cursor(
        schedule.tenant_id,
        schedule.id,
        schedule.revision,
        PlanningRule.of(schedule.definition),
        schedule.created_at,
        next_fire_at=None,
        run_count=max(held.cursor.run_count - withdrawal.returned_run_count, 0),
        tzdata=tzdata_version(),
    )


def _is_about_something_else(before: PlanningRule, after: PlanningRule) -> bool:
    """Tell a rule that has to prove a first occurrence from one whose window or limits alone were moved."""
    return (before.trigger, before.tz, before.dst, before.exclude) != (
        after.trigger,
        after.tz,
        after.dst,
        after.exclude,
    )


def is_decided_by_an_end(held: HeldSchedule, withdrawal: Withdrawal) -> bool:
    """Tell whether the end of an occurrence that stays decides when a schedule that runs from completion is due next.

    It does so by the rule that it was started under, so nothing is waited for where that was no chain, now or in an
    earlier edit (`Changed.unchained`), and where it was to be the last.
    """
    staying = [row for row in held.queued if row.is_planned and row.id not in withdrawal.leaving]
    return held.cursor.rule.is_chained and any(not row.is_last for row in staying)


def _next_of_edited_chain(held: HeldSchedule, cursor: Cursor, withdrawal: Withdrawal) -> datetime | None:
    """Return None while an occurrence is under way whose end decides; else the instant that was due, or a delay on."""
    if is_decided_by_an_end(held, withdrawal):
        return None
    leaving = [row.scheduled_for for row in held.queued if row.is_planned and row.id in withdrawal.leaving]
    was_due = min((at for at in leaving if at >= held.now), default=held.cursor.next_fire_at)
    if was_due is None or was_due < held.now or held.cursor.rule.trigger != cursor.rule.trigger:
        was_due = held.now + _delay(cursor)
    return _not_before_start(was_due, cursor)


def _next_of_resumed_chain(held: HeldSchedule, cursor: Cursor, remains: Withdrawal) -> datetime | None:
    if is_decided_by_an_end(held, remains):
        return None
    was_due = (held.last_ended_at or cursor.created_at) + _delay(cursor)
    return _not_before_start(was_due if was_due > held.now else held.now + _delay(cursor), cursor)


def _not_before_start(at: datetime, cursor: Cursor) -> datetime | None:
    start_at, end_at = cursor.rule.start_at, cursor.rule.end_at
    due_at = at if start_at is None else max(at, start_at)
    return due_at if end_at is None or due_at <= end_at else None


def _delay(cursor: Cursor) -> timedelta:
    assert isinstance(cursor.rule.trigger, FixedDelayTrigger)
    return timedelta(seconds=cursor.rule.trigger.delay_sec)
