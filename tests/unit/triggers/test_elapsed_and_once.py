"""FIXED_DELAY, ONE_SHOT, the window, and the first occurrence that a creation has to prove."""

from datetime import timedelta

import pytest

from scheduler_domain.domain.triggers import Cron, Exclusions, FixedDelay, OneShot, Rrule, TriggerError, compile_rule
from tests.unit.triggers.conftest import Due, Spec, instant

NOW = "2026-01-01T00:00:00"


def test_a_delay_begins_one_delay_after_creation(due: Due) -> None:
    assert due(FixedDelay(90), "UTC", NOW, 2) == ["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z"]


@pytest.mark.parametrize("anchor", ["COMPLETION", "SCHEDULE"])
def test_a_delay_begins_at_start_at_and_keeps_its_grid(due: Due, anchor: str) -> None:
    start = instant("1970-01-01T00:05:44")
    found = due(FixedDelay(5400, anchor), "UTC", "2022-03-23T12:53:02", 2, start_at=start)
    assert found == ["2022-03-23T13:35:44Z", "2022-03-23T15:05:44Z"]


def test_86400_seconds_are_24_hours_where_clocks_change(due: Due) -> None:
    start = instant("2026-03-28T11:00:00")
    found = due(FixedDelay(86_400), "Europe/Berlin", "2026-03-28T12:00:00", 2, start_at=start)
    assert found == ["2026-03-29T11:00:00Z", "2026-03-30T11:00:00Z"]


def test_a_completion_anchored_delay_goes_on_from_the_end_of_the_previous_occurrence(spec: Spec) -> None:
    rule = compile_rule(spec(FixedDelay(60)))
    assert rule.is_completion_anchored
    ended_at = instant("2026-01-01T00:01:07.250")
    found = rule.continued_from(ended_at).instants(ended_at, 2)
    assert found == [ended_at + timedelta(seconds=60), ended_at + timedelta(seconds=120)]


def test_a_delay_never_goes_on_before_start_at(spec: Spec) -> None:
    start = instant("2026-06-01T00:00:00")
    rule = compile_rule(spec(FixedDelay(60), start_at=start))
    assert rule.continued_from(instant(NOW)).instants(instant(NOW), 1) == [start]


@pytest.mark.parametrize("trigger", [FixedDelay(60, "SCHEDULE"), Cron("0 * * * *")])
def test_other_rules_do_not_follow_the_end_of_an_occurrence(spec: Spec, trigger: FixedDelay | Cron) -> None:
    rule = compile_rule(spec(trigger))
    assert not rule.is_completion_anchored
    assert rule.continued_from(instant(NOW)) is rule


def test_a_one_shot_keeps_its_microseconds(spec: Spec) -> None:
    rule = compile_rule(spec(OneShot("2026-06-01T12:00:00.123456+02:00")))
    page = rule.page(instant(NOW), 5)
    assert page.finished
    assert [item.at.isoformat() for item in page.instants] == ["2026-06-01T10:00:00.123456+00:00"]
    assert page.instants[0].nominal == "2026-06-01T10:00:00.123456Z"
    assert page.instants[0].order_ms == 1_780_308_000_123
    assert rule.page(page.instants[0].at, 1).instants == []
    assert rule.page(page.instants[0].at - timedelta(microseconds=1), 1).instants == page.instants


def test_a_local_one_shot_is_named_by_its_local_time(spec: Spec) -> None:
    rule = compile_rule(spec(OneShot("2026-06-01T12:00:00.5"), "Europe/Berlin"))
    (item,) = rule.page(instant(NOW), 5).instants
    assert (item.at.isoformat(), item.nominal) == ("2026-06-01T10:00:00.500000+00:00", "2026-06-01T12:00:00.500000")


def test_a_past_one_shot_is_refused_at_creation_unless_it_is_to_run_now(spec: Spec) -> None:
    past = "2020-06-01T12:00:00Z"
    assert compile_rule(spec(OneShot(past))).page(instant(NOW), 1).instants == []
    with pytest.raises(TriggerError) as refusal:
        compile_rule(spec(OneShot(past))).first(instant(NOW))
    assert (refusal.value.code, refusal.value.field) == ("one-shot-past", "trigger.startAt")
    assert compile_rule(spec(OneShot(past, "RUN_NOW"))).first(instant(NOW)).at == instant("2020-06-01T12:00:00")


@pytest.mark.parametrize("exclude", [None, Exclusions(weekdays=("SA",)), Exclusions(weekdays=("SU",), roll="NEXT")])
def test_a_one_shot_fires_once_where_its_local_time_exists_twice(due: Due, exclude: Exclusions | None) -> None:
    once = OneShot("2026-10-25T02:30:00")
    assert len(due(once, "Europe/Berlin", "2026-10-01T00:00:00", 5, fold="BOTH", exclude=exclude)) == 1


@pytest.mark.parametrize("if_past", [None, "RUN_NOW"])
@pytest.mark.parametrize("now", ["2026-01-01T00:00:00", "2026-08-01T00:00:00"])
def test_a_one_shot_before_its_window_never_fires(spec: Spec, if_past: str | None, now: str) -> None:
    rule = compile_rule(spec(OneShot("2026-06-01T09:00:00", if_past), "UTC", start_at=instant("2026-07-01T00:00:00")))
    with pytest.raises(TriggerError) as refusal:
        rule.first(instant(now))
    assert refusal.value.code == "never-fires"


@pytest.mark.parametrize("fold", ["FIRST", "SECOND"])
@pytest.mark.parametrize(
    "rule",
    [
        Rrule("FREQ=MINUTELY;INTERVAL=90", "2026-10-25T01:30:00Z"),
        Rrule("FREQ=MINUTELY;INTERVAL=90", "2026-10-25T02:30:00+01:00"),
        Rrule("DTSTART:20261025T013000Z\nRRULE:FREQ=MINUTELY;INTERVAL=90"),
        Rrule("DTSTART:20261025T013000Z\nRRULE:FREQ=MINUTELY;INTERVAL=90", "2026-10-25T02:30:00"),
    ],
)
def test_elapsed_steps_start_at_the_instant_that_was_given(due: Due, rule: Rrule, fold: str) -> None:
    found = due(rule, "Europe/Berlin", "2026-10-25T00:00:00", 2, fold=fold)
    assert found == ["2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z"]


def test_elapsed_steps_start_at_the_creation_in_the_second_pass_of_a_fold(spec: Spec) -> None:
    created = "2026-10-25T01:30:00"
    rule = compile_rule(spec(Rrule("FREQ=MINUTELY;INTERVAL=90"), "Europe/Berlin", created))
    assert rule.instants(instant(created), 1) == [instant("2026-10-25T03:00:00")]


def test_the_window_includes_both_its_ends(due: Due) -> None:
    found = due(
        Cron("0 9 * * *"), "UTC", NOW, 9, start_at=instant("2026-01-05T09:00:00"), end_at=instant("2026-01-07T09:00:00")
    )
    assert found == ["2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z", "2026-01-07T09:00:00Z"]


def test_the_window_is_exact_below_a_second(due: Due) -> None:
    start, end = instant("2026-01-05T09:00:00.000001"), instant("2026-01-07T08:59:59.999999")
    assert due(Cron("0 9 * * *"), "UTC", NOW, 9, start_at=start, end_at=end) == ["2026-01-06T09:00:00Z"]


def test_the_first_occurrence_may_be_now(spec: Spec) -> None:
    assert compile_rule(spec(Cron("0 0 * * *"))).first(instant(NOW)).at == instant(NOW)


@pytest.mark.parametrize(
    ("trigger", "rest"),
    [
        (Cron("0 9 * * *"), {"end_at": instant("2025-12-31T00:00:00")}),
        (Cron("0 9 * * *"), {"start_at": instant("2026-01-05T10:00:00"), "end_at": instant("2026-01-06T08:00:00")}),
        (Rrule("FREQ=DAILY;COUNT=3", "2025-01-01T00:00:00"), {}),
        (Rrule("FREQ=DAILY;UNTIL=20250101", "2024-01-01T00:00:00"), {}),
        (Rrule("RRULE:FREQ=DAILY;COUNT=1\nEXDATE:20270101T000000", "2027-01-01T00:00:00"), {}),
        (Cron("0 9 * * MON"), {"exclude": Exclusions(weekdays=("MO",))}),
        (OneShot("2026-03-29T02:30:00"), {"tz": "Europe/Berlin", "gap": "SKIP"}),
    ],
)
def test_what_has_nothing_left_is_refused_at_creation(spec: Spec, trigger: Cron, rest: dict[str, object]) -> None:
    with pytest.raises(TriggerError) as refusal:
        compile_rule(spec(trigger, **rest)).first(instant(NOW))
    assert refusal.value.code == "never-fires"
