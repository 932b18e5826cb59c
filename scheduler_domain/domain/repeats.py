"""When a rule names again what it has named before: an edit that moves local times along the line of instants.

A daily 09:00 that fired in Tokyo and is moved to Los Angeles comes to the same 09:00 of the same date once more, 17
hours later. It is the same occurrence (docs/decisions/0001), so it does not fire again. Planning ahead never meets
this, since names grow with instants as long as zone, policies and exclusions stay; only after such an edit is it worth
a look into the ledger, and only for as long as the same names can come round again.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.domain.planning import Plan, PlanningRule

# Offsets lie between -12 and +14 hours; an hour more for what gaps and folds shift.
_ACROSS_ZONES: Final = timedelta(hours=27)
# An excluded day moves to one within 31 days, and keeps its name there.
_ACROSS_ROLLS: Final = timedelta(days=32)
LONGEST: Final = _ACROSS_ROLLS


def repeats_until(
    before: PlanningRule, after: PlanningRule, known_until: datetime | None, now: datetime
) -> datetime | None:
    """Return until when the edited rule may name again what it has named; None: it does not.

    >>> from datetime import UTC
    >>> from scheduler_domain.domain.schedule import CronTrigger
    >>> tokyo = PlanningRule(trigger=CronTrigger("0 9 * * *"), tz="Asia/Tokyo")
    >>> repeats_until(tokyo, replace(tokyo, tz="America/Los_Angeles"), None, datetime(2026, 11, 22, tzinfo=UTC))
    datetime.datetime(2026, 11, 23, 3, 0, tzinfo=datetime.timezone.utc)
    """
    if (before.tz, before.dst, before.exclude) == (after.tz, after.dst, after.exclude):
        return known_until
    rolls = any(rule.exclude is not None and rule.exclude.roll != "SKIP" for rule in (before, after))
    until = now + (_ACROSS_ROLLS if rolls else _ACROSS_ZONES)
    return until if known_until is None else max(until, known_until)


def may_repeat(plan: Plan) -> bool:
    """Tell the plans that have to be looked at: those of schedules that were edited so, not long ago."""
    until, at = plan.before.repeats_until, plan.before.next_fire_at
    return until is not None and at is not None and at < until and bool(plan.due)


def without(plan: Plan, taken: Collection[UUID]) -> Plan:
    """Return the plan without what exists already, queued or ended; that is no further run of the schedule."""
    due = [item for item in plan.due if item.id not in taken]
    dropped_count = len(plan.due) - len(due)
    if dropped_count == 0:
        return plan
    if plan.finished and due:
        due[-1] = replace(due[-1], is_last=True)
    after = replace(plan.after, run_count=plan.after.run_count - dropped_count)
    return replace(plan, after=after, due=due)
