"""Edits that bring a name round again, and what becomes of the plan then."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.planning import Plan, PlanningRule, first_cursor, plan
from scheduler_domain.domain.repeats import may_repeat, repeats_until, without
from scheduler_domain.domain.schedule import CronTrigger, Dst, Exclude

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DAILY = PlanningRule(trigger=CronTrigger("0 9 * * *"), tz="Asia/Tokyo")
ROLLED = replace(DAILY, exclude=Exclude(dates=["2026-12-24"], roll="PREVIOUS"))
A_MINUTE = timedelta(minutes=1)


@dataclass
class Edit:
    after: PlanningRule
    lasts: timedelta | None
    before: PlanningRule = DAILY


@pytest.mark.parametrize(
    "edit",
    [
        Edit(replace(DAILY, tz="America/Los_Angeles"), timedelta(hours=27)),
        Edit(replace(DAILY, dst=Dst(gap="FIRST_VALID")), timedelta(hours=27)),
        Edit(replace(DAILY, exclude=Exclude(weekdays=["SA"])), timedelta(hours=27)),
        Edit(ROLLED, timedelta(days=32)),
        Edit(DAILY, timedelta(days=32), before=ROLLED),
        Edit(replace(DAILY, trigger=CronTrigger("0 10 * * *")), None),
        Edit(replace(DAILY, max_runs=7), None),
    ],
)
def test_how_long_an_edit_is_remembered(edit: Edit) -> None:
    expected = None if edit.lasts is None else NOW + edit.lasts
    assert repeats_until(edit.before, edit.after, None, NOW) == expected
    later = NOW + timedelta(days=40)
    assert repeats_until(edit.before, edit.after, later, NOW) == later, "a second edit does not shorten the first one's"


def planned(max_runs: int | None = None, until: datetime | None = None) -> Plan:
    rule = PlanningRule(trigger=CronTrigger("* * * * *"), max_runs=max_runs)
    cursor = first_cursor("acme", UUID(int=1), 1, rule, NOW, NOW)
    return plan(replace(cursor, repeats_until=until), NOW, NOW + 3 * A_MINUTE, StartTags())


def test_only_what_was_edited_not_long_ago_is_looked_at() -> None:
    assert not may_repeat(planned())
    assert may_repeat(planned(until=NOW + A_MINUTE))
    assert not may_repeat(planned(until=NOW))


def test_what_exists_is_left_out_and_counts_as_no_run() -> None:
    whole = planned()
    left = without(whole, {whole.due[1].id})
    assert [item.id for item in left.due] == [whole.due[0].id, whole.due[2].id, whole.due[3].id]
    assert left.after == replace(whole.after, run_count=3)


def test_the_last_that_is_left_ends_the_schedule() -> None:
    whole = planned(max_runs=2)
    left = without(whole, {whole.due[-1].id})
    assert [item.is_last for item in left.due] == [True]
    nothing = without(whole, {item.id for item in whole.due})
    assert (nothing.due, nothing.finished) == ([], True)
