"""Planning: every expected instant becomes exactly one planned or one skipped occurrence."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule, first_cursor, plan
from scheduler_domain.domain.schedule import (
    CronTrigger,
    FixedDelayTrigger,
    Misfire,
    OneShotTrigger,
    RruleTrigger,
    Trigger,
)

SCHEDULE = UUID("01900000-0000-7000-8000-000000000001")
NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = CronTrigger("* * * * *")


def cursor_at(from_: datetime, trigger: Trigger = EVERY_MINUTE, **rule: object) -> Cursor:
    return first_cursor("acme", SCHEDULE, 1, PlanningRule(trigger=trigger, **rule), from_, from_)  # type: ignore[arg-type]


def planned(cursor: Cursor, now: datetime, ahead: timedelta = MINUTE, limit: int = 1000) -> Plan:
    return plan(cursor, now, now + ahead, StartTags(), limit)


def instants(decided: Plan) -> list[datetime]:
    return [occurrence.scheduled_for for occurrence in decided.due]


def reasons(decided: Plan) -> list[str]:
    return [occurrence.reason for occurrence in decided.skipped]


def test_a_window_is_planned_to_its_end_and_the_cursor_names_the_next_instant() -> None:
    decided = planned(cursor_at(NINE), NINE, ahead=timedelta(minutes=3))
    assert instants(decided) == [NINE, NINE + MINUTE, NINE + 2 * MINUTE, NINE + 3 * MINUTE]
    assert decided.after.next_fire_at == NINE + 4 * MINUTE
    assert not decided.finished


def test_planning_the_same_window_twice_makes_the_same_ids() -> None:
    first, again = planned(cursor_at(NINE), NINE), planned(cursor_at(NINE), NINE + timedelta(milliseconds=200))
    assert [occurrence.id for occurrence in first.due] == [occurrence.id for occurrence in again.due]


def test_a_window_planned_in_two_halves_equals_the_window_planned_at_once() -> None:
    whole = planned(cursor_at(NINE), NINE, ahead=timedelta(minutes=9))
    half = planned(cursor_at(NINE), NINE, ahead=timedelta(minutes=4))
    rest = plan(half.after, NINE, NINE + timedelta(minutes=9), StartTags())
    assert instants(whole) == instants(half) + instants(rest)


def test_the_latest_of_the_missed_instants_fires_at_once_and_the_others_are_coalesced() -> None:
    now = NINE + timedelta(minutes=5, seconds=30)
    decided = planned(cursor_at(NINE), now, ahead=timedelta(seconds=20))
    assert instants(decided) == [NINE + 5 * MINUTE]
    assert reasons(decided) == ["misfire-coalesced"] * 5
    assert decided.due[0].start_tag == now


def test_the_latest_missed_instant_is_found_across_several_plans() -> None:
    cursor, now = cursor_at(NINE), NINE + timedelta(minutes=25, seconds=30)
    fired: list[datetime] = []
    skipped: list[str] = []
    for _ in range(3):
        decided = planned(cursor, now, ahead=timedelta(seconds=20), limit=10)
        fired += instants(decided)
        skipped += reasons(decided)
        cursor = decided.after
    assert fired == [NINE + 25 * MINUTE]
    assert skipped == ["misfire-coalesced"] * 25


def test_what_is_older_than_the_window_is_skipped_whatever_the_policy() -> None:
    misfire = Misfire(policy="FIRE_ALL", window_sec=150)
    decided = planned(
        cursor_at(NINE, misfire=misfire), NINE + 5 * MINUTE + timedelta(seconds=1.5), timedelta(seconds=9)
    )
    assert instants(decided) == [NINE + 3 * MINUTE, NINE + 4 * MINUTE, NINE + 5 * MINUTE]
    assert reasons(decided) == ["misfire-window"] * 3


def test_fire_all_stops_at_its_limit_even_across_plans() -> None:
    cursor = cursor_at(NINE, misfire=Misfire(policy="FIRE_ALL", max_count=3))
    now = NINE + timedelta(minutes=7, seconds=30)
    first = planned(cursor, now, timedelta(seconds=20), limit=2)
    second = planned(first.after, now, timedelta(seconds=20), limit=10)
    assert instants(first) + instants(second) == [NINE, NINE + MINUTE, NINE + 2 * MINUTE]
    assert set(reasons(second)) == {"misfire-limit"}
    assert second.after.caught_up_count == 0


def test_the_skip_policy_fires_none_of_the_missed() -> None:
    decided = planned(cursor_at(NINE, misfire=Misfire(policy="SKIP")), NINE + timedelta(minutes=2, seconds=30))
    assert instants(decided) == [NINE + 3 * MINUTE]
    assert reasons(decided) == ["misfire-skipped"] * 3


def test_an_instant_just_past_is_no_misfire() -> None:
    decided = planned(cursor_at(NINE, misfire=Misfire(policy="SKIP")), NINE + timedelta(milliseconds=900))
    assert instants(decided) == [NINE, NINE + MINUTE]


def test_missed_slots_of_a_fixed_delay_coalesce_even_where_all_shall_fire() -> None:
    trigger = FixedDelayTrigger(60, "SCHEDULE")
    cursor = cursor_at(NINE, trigger, start_at=NINE, misfire=Misfire(policy="FIRE_ALL"))
    decided = planned(cursor, NINE + timedelta(minutes=3, seconds=30), timedelta(seconds=10))
    assert instants(decided) == [NINE + 3 * MINUTE]
    assert reasons(decided) == ["misfire-coalesced"] * 3


@pytest.mark.parametrize("trigger", [EVERY_MINUTE, FixedDelayTrigger(60)], ids=["by the clock", "from completion"])
def test_a_schedule_that_has_had_its_runs_has_no_other(trigger: Trigger) -> None:
    decided = planned(replace(cursor_at(NINE, trigger, max_runs=2), run_count=2), NINE)
    assert (decided.due, decided.skipped, decided.after.next_fire_at, decided.finished) == ([], [], None, True)


def test_max_runs_ends_a_schedule_and_marks_its_last_occurrence() -> None:
    decided = planned(cursor_at(NINE, max_runs=2), NINE, ahead=timedelta(minutes=5))
    assert instants(decided) == [NINE, NINE + MINUTE]
    assert [occurrence.is_last for occurrence in decided.due] == [False, True]
    assert decided.finished
    assert decided.after.next_fire_at is None


def test_a_one_shot_is_finished_once_planned() -> None:
    decided = planned(cursor_at(NINE, OneShotTrigger("2026-11-22T09:00:30Z")), NINE)
    assert instants(decided) == [NINE + timedelta(seconds=30)]
    assert decided.due[0].is_last
    assert decided.finished


def test_a_counted_rule_ends_after_its_count_however_it_is_cut_up() -> None:
    cursor: Cursor = cursor_at(NINE, RruleTrigger("FREQ=MINUTELY;COUNT=5", "2026-11-22T09:00:00"))
    seen: list[datetime] = []
    now = NINE
    while cursor.next_fire_at is not None:
        decided = planned(cursor, now, ahead=timedelta(seconds=70), limit=2)
        seen += instants(decided)
        cursor, now = decided.after, now + MINUTE
    assert seen == [NINE + index * MINUTE for index in range(5)]


def test_jitter_delays_never_hastens_and_is_the_same_each_time() -> None:
    decided = planned(cursor_at(NINE, jitter_sec=30), NINE, ahead=timedelta(minutes=20))
    delays = [occurrence.due_at - occurrence.scheduled_for for occurrence in decided.due]
    assert all(timedelta(0) <= delay < timedelta(seconds=30) for delay in delays)
    assert len(set(delays)) > 10
    again = planned(cursor_at(NINE, jitter_sec=30), NINE, ahead=timedelta(minutes=20))
    assert [occurrence.due_at for occurrence in again.due] == [occurrence.due_at for occurrence in decided.due]


def test_a_delay_from_completion_is_planned_once_and_waits_for_its_end() -> None:
    cursor = cursor_at(NINE, FixedDelayTrigger(60))
    assert cursor.next_fire_at == NINE + MINUTE
    decided = planned(cursor, NINE, ahead=timedelta(minutes=10))
    assert instants(decided) == [NINE + MINUTE]
    assert decided.after.next_fire_at is None
    assert not decided.finished


def test_a_delay_from_completion_that_was_missed_fires_once_and_at_once() -> None:
    now = NINE + timedelta(hours=1)
    decided = planned(cursor_at(NINE, FixedDelayTrigger(60)), now)
    assert instants(decided) == [NINE + MINUTE]
    assert decided.due[0].start_tag == now


def test_what_jitter_keeps_for_later_is_not_claimed_before_although_its_instant_was_missed() -> None:
    now = NINE + timedelta(seconds=30)
    decided = planned(cursor_at(NINE, jitter_sec=3600, trigger=CronTrigger("0 9 * * *")), now)
    [late] = decided.due
    assert late.due_at > now, "the choice of the schedule's id and of the instant"
    assert late.start_tag == late.due_at


@pytest.mark.parametrize("policy", ["SKIP"])
def test_a_missed_delay_from_completion_that_is_skipped_starts_over_from_now(policy: str) -> None:
    now = NINE + timedelta(hours=1)
    cursor = cursor_at(NINE, FixedDelayTrigger(60), misfire=Misfire(policy=policy))  # type: ignore[arg-type]
    decided = planned(cursor, now)
    assert reasons(decided) == ["misfire-skipped"]
    assert decided.after.next_fire_at == now + MINUTE


def test_an_end_in_the_past_finishes_without_an_occurrence() -> None:
    cursor = cursor_at(NINE, end_at=NINE - MINUTE)
    assert cursor.next_fire_at is None
    assert planned(cursor, NINE).finished
