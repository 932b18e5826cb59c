"""Gaps and folds, told as a table: what each policy makes of a local time that does not exist or exists twice."""

import pytest

from scheduler_domain.domain.triggers import Cron, OneShot, Rrule, compile_rule
from tests.unit.triggers.conftest import Due, Spec, instant

BERLIN_GAP, BERLIN_FOLD = "2026-03-28T12:00:00", "2026-10-24T12:00:00"


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        ("SHIFT", ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]),
        ("FIRST_VALID", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("SKIP", ["2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]),
    ],
)
def test_a_daily_time_inside_a_gap_goes_by_the_gap_policy(due: Due, gap: str, expected: list[str]) -> None:
    assert due(Cron("30 2 * * *"), "Europe/Berlin", BERLIN_GAP, 2, gap=gap) == expected


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        ("FIRST", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("SECOND", ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]),
        ("BOTH", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),
    ],
)
def test_a_daily_time_inside_a_fold_goes_by_the_fold_policy(due: Due, fold: str, expected: list[str]) -> None:
    assert due(Cron("30 2 * * *"), "Europe/Berlin", BERLIN_FOLD, 2, fold=fold) == expected


def test_a_shifted_time_that_meets_another_fires_once_under_the_name_that_truly_exists(spec: Spec) -> None:
    rule = compile_rule(spec(Cron("30 2,3 * * *"), "Europe/Berlin"))
    first, second = rule.page(instant(BERLIN_GAP), 2).instants
    assert (first.nominal, first.dst) == ("2026-03-29T03:30:00", None)
    assert second.nominal == "2026-03-30T02:30:00"


def test_several_times_of_a_gap_under_first_valid_are_one(spec: Spec) -> None:
    rule = compile_rule(spec(Cron("*/15 2 * * *"), "Europe/Berlin", gap="FIRST_VALID"))
    first, second = rule.page(instant(BERLIN_GAP), 2).instants
    assert (first.at, first.nominal, first.dst) == (instant("2026-03-29T01:00:00"), "2026-03-29T02:00:00", "SHIFTED")
    assert second.nominal == "2026-03-30T02:00:00"


def test_a_shifted_time_comes_after_the_ones_it_was_moved_past(due: Due) -> None:
    assert due(Cron("0,45 2,3 * * *"), "Europe/Berlin", BERLIN_GAP, 3) == [
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:45:00Z",
        "2026-03-30T00:00:00Z",
    ]
    assert due(Cron("50 2 * * *"), "Europe/Berlin", "2026-03-29T01:10:00", 1) == ["2026-03-29T01:50:00Z"]


def test_both_passes_of_a_fold_come_in_the_order_of_time(due: Due) -> None:
    assert due(Cron("0,30 2 * * *"), "Europe/Berlin", BERLIN_FOLD, 4, fold="BOTH") == [
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
    ]


def test_the_second_pass_is_found_from_the_middle_of_the_first(due: Due) -> None:
    after = "2026-10-25T00:45:00"
    assert due(Cron("30 2 * * *"), "Europe/Berlin", after, 1, fold="BOTH") == ["2026-10-25T01:30:00Z"]
    assert due(Cron("30 2 * * *"), "Europe/Berlin", after, 1, fold="SECOND") == ["2026-10-25T01:30:00Z"]
    assert due(Cron("30 2 * * *"), "Europe/Berlin", after, 1, fold="FIRST") == ["2026-10-26T01:30:00Z"]


@pytest.mark.parametrize("cron", ["0 * * * *", "0 */1 * * *", "0 0-23 * * *", "0 0-11,12-23 * * *"])
def test_a_rule_for_all_hours_is_an_interval_whatever_its_text(due: Due, cron: str) -> None:
    for policies in ({"gap": "SKIP", "fold": "FIRST"}, {"gap": "FIRST_VALID", "fold": "BOTH"}):
        assert due(Cron(cron), "Europe/Berlin", "2026-10-24T23:30:00", 4, **policies) == [
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z",
        ]
        assert due(Cron(cron), "Europe/Berlin", "2026-03-29T00:30:00", 2, **policies) == [
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
        ]


def test_every_other_hour_is_fixed_time_and_runs_twelve_times_on_every_date(due: Due) -> None:
    for day, length in (
        ("2026-03-28T23:00:00", "2026-03-29T22:00:00Z"),
        ("2026-10-24T22:00:00", "2026-10-25T23:00:00Z"),
    ):
        found = due(Cron("0 */2 * * *"), "Europe/Berlin", f"{day[:-2]}59"[:16] + ":00", 13)
        assert len([at for at in [*found, day + "Z"] if day + "Z" <= at < length]) == 12


def test_half_past_two_twice_a_day_is_kept_on_the_days_clocks_change(due: Due) -> None:
    found = due(Cron("*/30 2 * * *"), "Europe/Berlin", BERLIN_GAP, 2)
    assert found == ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]


def test_a_midnight_that_does_not_exist_is_one_oclock(due: Due) -> None:
    assert due(Cron("0 0 * * *"), "America/Sao_Paulo", "2018-11-03T12:00:00", 1) == ["2018-11-04T03:00:00Z"]
    assert due(Cron("0 0 * * *"), "Asia/Beirut", "2024-03-30T12:00:00", 1) == ["2024-03-30T22:00:00Z"]


def test_a_gap_of_half_an_hour_shifts_by_half_an_hour(due: Due) -> None:
    assert due(Cron("15 2 * * *"), "Australia/Lord_Howe", "2026-10-03T12:00:00", 1) == ["2026-10-03T15:45:00Z"]


def test_a_gap_of_two_hours_shifts_by_two_hours(due: Due) -> None:
    assert due(Cron("30 1 * * *"), "Antarctica/Troll", "2026-03-28T12:00:00", 1) == ["2026-03-29T01:30:00Z"]


def test_a_day_that_a_zone_left_out_is_a_gap_of_24_hours(due: Due) -> None:
    noon = Cron("0 12 * * *")
    assert due(noon, "Pacific/Apia", "2011-12-29T00:00:00", 3) == [
        "2011-12-29T22:00:00Z",
        "2011-12-30T22:00:00Z",
        "2011-12-31T22:00:00Z",
    ]
    assert due(Cron("0 12 30 12 *"), "Pacific/Apia", "2011-12-29T00:00:00", 1) == ["2011-12-30T22:00:00Z"]
    skipped = due(Cron("0 12 30 12 *"), "Pacific/Apia", "2011-12-29T00:00:00", 1, gap="SKIP")
    assert skipped == ["2012-12-29T22:00:00Z"]


def test_marks_say_what_the_policies_met(spec: Spec) -> None:
    rule = compile_rule(spec(Cron("30 2 * * *"), "Europe/Berlin", fold="BOTH"))
    gap = rule.page(instant(BERLIN_GAP), 2).instants
    fold = rule.page(instant(BERLIN_FOLD), 3).instants
    assert [item.dst for item in gap] == ["SHIFTED", None]
    assert [item.dst for item in fold] == ["REPEATED", "REPEATED", None]
    assert gap[0].local.isoformat() == "2026-03-29T03:30:00"
    assert [item.nominal for item in fold[:2]] == ["2026-10-25T02:30:00", "2026-10-25T02:30:00/1"]
    assert fold[1].order_ms == fold[0].order_ms + 1


def test_an_interval_rule_bears_the_name_of_its_instant_and_no_mark(spec: Spec) -> None:
    (item,) = compile_rule(spec(Cron("30 * * * *"), "Europe/Berlin")).page(instant("2026-10-25T00:00:00"), 1).instants
    assert (item.nominal, item.dst, item.order_ms) == ("2026-10-25T00:30:00Z", None, 1_792_888_200_000)


def test_a_recurrence_without_by_parts_steps_real_hours_through_gap_and_fold(due: Due) -> None:
    hourly = Rrule("FREQ=HOURLY;INTERVAL=2", "2026-10-24T23:00:00")
    assert due(hourly, "Europe/Berlin", "2026-10-24T20:00:00", 3) == [
        "2026-10-24T21:00:00Z",
        "2026-10-24T23:00:00Z",
        "2026-10-25T01:00:00Z",
    ]


def test_a_sub_daily_recurrence_with_by_parts_is_fixed_time(due: Due) -> None:
    rule = Rrule("FREQ=HOURLY;BYMINUTE=30", "2026-10-24T00:00:00")
    assert due(rule, "Europe/Berlin", "2026-10-25T00:00:00", 2) == ["2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"]


def test_a_local_one_shot_goes_by_the_policies_and_never_twice(due: Due) -> None:
    gap, fold = OneShot("2026-03-29T02:30:00"), OneShot("2026-10-25T02:30:00")
    after = "2026-01-01T00:00:00"
    assert due(gap, "Europe/Berlin", after) == ["2026-03-29T01:30:00Z"]
    assert due(gap, "Europe/Berlin", after, gap="FIRST_VALID") == ["2026-03-29T01:00:00Z"]
    assert due(gap, "Europe/Berlin", after, gap="SKIP") == []
    assert due(fold, "Europe/Berlin", after, fold="BOTH") == ["2026-10-25T00:30:00Z"]
    assert due(fold, "Europe/Berlin", after, fold="SECOND") == ["2026-10-25T01:30:00Z"]


def test_negative_daylight_saving_in_dublin_is_a_change_like_any_other(due: Due) -> None:
    assert due(Cron("30 1 * * *"), "Europe/Dublin", "2026-03-28T12:00:00", 1) == ["2026-03-29T01:30:00Z"]
    assert due(Cron("30 1 * * *"), "Europe/Dublin", "2026-10-24T12:00:00", 1) == ["2026-10-25T00:30:00Z"]


def test_ramadan_in_casablanca_turns_clocks_four_times_a_year(due: Due) -> None:
    found = due(Cron("30 2 * * *"), "Africa/Casablanca", "2026-02-13T00:00:00", 3)
    assert found == ["2026-02-13T01:30:00Z", "2026-02-14T01:30:00Z", "2026-02-15T01:30:00Z"]
    assert due(Cron("30 2 * * *"), "Africa/Casablanca", "2026-03-21T12:00:00", 1) == ["2026-03-22T02:30:00Z"]
