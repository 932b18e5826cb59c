"""Excluded days: struck out, skipped, or moved to a business day at the same local time."""

import pytest

from scheduler_domain.domain.triggers import Cron, Exclusions, FixedDelay, OneShot, Rrule, compile_rule
from tests.unit.triggers.conftest import Due, Spec, instant

DAILY = Cron("0 9 * * *")
CHRISTMAS = Exclusions(country="DE", subdivision="BE")
THURSDAY = "2026-12-24T12:00:00"


def dates(found: list[str]) -> list[str]:
    return [at[:10] for at in found]


def test_dates_weekdays_and_holidays_are_left_out(due: Due) -> None:
    exclude = Exclusions(dates=("2026-12-28",), weekdays=("SAT", "Sunday"), country="DE", subdivision="BE")
    assert dates(due(DAILY, "Europe/Berlin", THURSDAY, 2, exclude=exclude)) == ["2026-12-29", "2026-12-30"]


def test_a_day_is_judged_by_its_local_date(due: Due) -> None:
    exclude = Exclusions(dates=("2026-12-25",))
    found = due(Cron("0 1 * * *"), "Asia/Tokyo", "2026-12-23T12:00:00", 2, exclude=exclude)
    assert found == ["2026-12-23T16:00:00Z", "2026-12-25T16:00:00Z"]


@pytest.mark.parametrize(
    ("roll", "expected"),
    [
        ("SKIP", ["2027-01-25", "2027-02-25"]),
        ("NEXT", ["2026-12-28", "2027-01-25"]),
        ("PREVIOUS", ["2026-12-24", "2027-01-25"]),
    ],
)
def test_a_holiday_moves_to_a_business_day_at_the_same_local_time(due: Due, roll: str, expected: list[str]) -> None:
    exclude = Exclusions(country="DE", roll=roll)
    assert dates(due(Cron("0 9 25 * *"), "Europe/Berlin", "2026-12-20T00:00:00", 2, exclude=exclude)) == expected


def test_a_moved_occurrence_meets_the_one_that_is_there(due: Due) -> None:
    exclude = Exclusions(weekdays=("SA", "SU"), roll="NEXT")
    assert dates(due(DAILY, "UTC", "2026-01-09T00:00:00", 3, exclude=exclude)) == [
        "2026-01-09",
        "2026-01-12",
        "2026-01-13",
    ]


def test_a_moved_occurrence_keeps_the_name_of_the_day_it_was_named_for(spec: Spec) -> None:
    exclude = Exclusions(dates=("2026-01-01",), roll="NEXT")
    rule = compile_rule(spec(Cron("0 9 1 * *"), "Europe/Berlin", exclude=exclude))
    moved = rule.page(instant("2025-12-31T00:00:00"), 1).instants[0]
    assert (moved.local.isoformat(), moved.nominal) == ("2026-01-02T09:00:00", "2026-01-01T09:00:00")
    free = compile_rule(spec(Cron("0 9 1 * *"), "Europe/Berlin")).page(instant("2025-12-31T00:00:00"), 1).instants[0]
    assert (free.nominal, free.order_ms) == (moved.nominal, moved.order_ms)


def test_a_move_never_ends_on_the_weekend_of_the_country(due: Due) -> None:
    friday = Exclusions(dates=("2026-01-02",), roll="NEXT")
    once = OneShot("2026-01-02T09:00:00")
    assert dates(due(once, "UTC", "2026-01-01T00:00:00", exclude=friday)) == ["2026-01-05"]
    thursday = Exclusions(dates=("2026-01-08",), country="SA", roll="NEXT")
    assert dates(due(OneShot("2026-01-08T09:00:00"), "UTC", "2026-01-01T00:00:00", exclude=thursday)) == ["2026-01-11"]


def test_moves_in_both_directions_stay_in_order_and_within_pages(spec: Spec) -> None:
    for roll in ("NEXT", "PREVIOUS"):
        exclude = Exclusions(dates=("2026-01-06", "2026-01-07"), weekdays=("SA", "SU"), roll=roll)
        rule = compile_rule(spec(Cron("0,30 9-10 * * *"), exclude=exclude))
        whole = rule.instants(instant("2026-01-01T00:00:00"), 60)
        assert whole == sorted(set(whole))
        for at in range(1, 60):
            assert rule.instants(whole[at - 1], 60 - at) == whole[at:]


def test_elapsed_rules_are_excluded_and_moved_by_their_local_date(due: Due) -> None:
    start = instant("2026-01-02T10:00:00")
    weekend = ("SA", "SU")
    every_day = FixedDelay(86_400)
    skipped = due(every_day, "UTC", "2026-01-02T10:00:00", 2, start_at=start, exclude=Exclusions(weekdays=weekend))
    assert skipped == ["2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z"]
    moved = due(
        FixedDelay(129_600), "UTC", "2026-01-02T10:00:00", 3, start_at=start,
        exclude=Exclusions(weekdays=weekend, roll="NEXT"),
    )  # fmt: skip
    assert moved == ["2026-01-05T10:00:00Z", "2026-01-05T22:00:00Z", "2026-01-06T22:00:00Z"]


def test_a_preview_strikes_out_what_is_excluded(spec: Spec) -> None:
    rule = compile_rule(spec(DAILY, "Europe/Berlin", exclude=CHRISTMAS))
    shown = rule.page(instant(THURSDAY), 2, include_excluded=True).instants
    assert [(item.local.day, item.excluded) for item in shown] == [
        (25, "Christmas Day"),
        (26, "Second Day of Christmas"),
        (27, None),
        (28, None),
    ]


def test_struck_out_days_of_elapsed_rules_have_their_reason(spec: Spec) -> None:
    rule = compile_rule(
        spec(Rrule("FREQ=HOURLY;INTERVAL=24", "2026-01-02T10:00:00"), exclude=Exclusions(weekdays=("SA",)))
    )
    shown = rule.page(instant("2026-01-02T12:00:00"), 1, include_excluded=True).instants
    assert [(item.local.day, item.excluded) for item in shown] == [(3, "Saturday"), (4, None)]


def test_weekdays_are_read_as_two_or_three_letters_or_whole(due: Due) -> None:
    for names in (("SA", "SU"), ("sat", "sun"), ("Saturday", "SUNDAY")):
        assert dates(due(DAILY, "UTC", "2026-01-03T00:00:00", 1, exclude=Exclusions(weekdays=names))) == ["2026-01-05"]


@pytest.mark.parametrize(
    ("until", "roll", "expected"),
    [
        ("20261228T080000Z", "PREVIOUS", ["2026-12-21"]),
        ("20261228T080000", "PREVIOUS", ["2026-12-21"]),
        ("20261228T090000Z", "PREVIOUS", ["2026-12-21", "2026-12-25"]),
        ("20261228T090000Z", "NEXT", ["2026-12-21", "2026-12-29"]),
        ("20261228T090000", "NEXT", ["2026-12-21", "2026-12-29"]),
        ("20261228T090000Z", "SKIP", ["2026-12-21"]),
    ],
)
def test_until_ends_the_rule_before_anything_moves(due: Due, until: str, roll: str, expected: list[str]) -> None:
    exclude = Exclusions(dates=("2026-12-28",), roll=roll)
    rule = Rrule(f"FREQ=WEEKLY;UNTIL={until}", "2026-12-07T09:00:00")
    assert dates(due(rule, "UTC", "2026-12-20T00:00:00", 5, exclude=exclude)) == expected
