"""The cron dialect: what each construct means."""

import pytest

from scheduler_domain.domain.triggers import Cron
from scheduler_domain.domain.triggers.cron import MACROS, parse_cron
from tests.unit.triggers.conftest import Due

MONDAY = "2026-01-05T03:07:00"


def dates(found: list[str]) -> list[str]:
    return [at[5:10] for at in found]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("L * *", ["01-31", "02-28", "03-31"]),
        ("LW * *", ["01-30", "02-27", "03-31"]),
        ("15W * *", ["01-15", "02-16", "03-16"]),
        ("1W * *", ["02-02", "03-02", "04-01"]),
        ("31W * *", ["01-30", "02-27", "03-31"]),
        ("15,L * *", ["01-15", "01-31", "02-15"]),
        ("* * 5L", ["01-30", "02-27", "03-27"]),
        ("* * FRIL", ["01-30", "02-27", "03-27"]),
        ("* * 7L", ["01-25", "02-22", "03-29"]),
        ("* * MON#2", ["01-12", "02-09", "03-09"]),
        ("* * MON#1,FRI#3", ["01-16", "02-02", "02-20"]),
        ("* * 0", ["01-11", "01-18", "01-25"]),
        ("* * 7", ["01-11", "01-18", "01-25"]),
        ("* * 6-7", ["01-10", "01-11", "01-17"]),
        ("* * 1-1", ["01-12", "01-19", "01-26"]),
        ("* * SUN-MON", ["01-11", "01-12", "01-18"]),
        ("* * 1/2", ["01-07", "01-09", "01-12"]),
        ("* * */2", ["01-06", "01-08", "01-10"]),
        ("? * MON-FRI", ["01-06", "01-07", "01-08"]),
        ("29 FEB *", ["02-29", "02-29", "02-29"]),
        ("1 */3 *", ["04-01", "07-01", "10-01"]),
        ("*/40 * *", ["02-01", "03-01", "04-01"]),
    ],
)
def test_a_day_field_names_its_days(due: Due, days: str, expected: list[str]) -> None:
    assert dates(due(Cron(f"0 0 {days}"), "UTC", MONDAY)) == expected


def test_a_day_matches_by_either_field_where_neither_starts_with_a_star(due: Due) -> None:
    assert dates(due(Cron("0 0 1,15 * MON"), "UTC", MONDAY, 4)) == ["01-12", "01-15", "01-19", "01-26"]
    assert dates(due(Cron("0 0 5,* * MON"), "UTC", MONDAY, 2)) == ["01-06", "01-07"]


def test_a_day_must_match_by_both_fields_where_one_starts_with_a_star(due: Due) -> None:
    assert dates(due(Cron("0 0 */2 * MON"), "UTC", MONDAY, 2)) == ["01-19", "02-09"]
    assert dates(due(Cron("0 0 13 * */5"), "UTC", MONDAY, 2)) == ["02-13", "03-13"]


def test_an_impossible_half_of_an_either_rule_does_not_silence_the_other(due: Due) -> None:
    assert dates(due(Cron("0 0 31 2 1"), "UTC", MONDAY)) == ["02-02", "02-09", "02-16"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("5-5 * * * *", ["04:05:00", "05:05:00"]),
        ("*/7 * * * *", ["03:14:00", "03:21:00"]),
        ("50/7 * * * *", ["03:50:00", "03:57:00"]),
        ("0,0,5 * * * *", ["04:00:00", "04:05:00"]),
        ("15/35 20-35/15 * * * *", ["03:20:15", "03:20:50"]),
        ("*/20 * * * * *", ["03:07:20", "03:07:40"]),
        ("*/90 * * * *", ["04:00:00", "05:00:00"]),
        ("05 08 * * *", ["08:05:00", "08:05:00"]),
        ("\t0   4  * * *  ", ["04:00:00", "04:00:00"]),
    ],
)
def test_a_time_field_names_its_times(due: Due, cron: str, expected: list[str]) -> None:
    assert [at[11:19] for at in due(Cron(cron), "UTC", MONDAY, 2)] == expected


@pytest.mark.parametrize("macro", MACROS)
def test_a_macro_means_its_expression_in_any_case(due: Due, macro: str) -> None:
    expected = due(Cron(MACROS[macro]), "Europe/Berlin", MONDAY)
    assert due(Cron(macro), "Europe/Berlin", MONDAY) == due(Cron(macro.upper()), "Europe/Berlin", MONDAY) == expected


def test_names_are_read_in_any_case() -> None:
    assert parse_cron("0 0 * jan-mar mon") == parse_cron("0 0 * JAN-MAR MON") == parse_cron("0 0 * 1-3 1")


def test_a_leap_day_waits_eight_years_around_2100(due: Due) -> None:
    found = due(Cron("0 0 29 2 *"), "UTC", "2092-03-01T00:00:00", 2)
    assert [at[:4] for at in found] == ["2096", "2104"]


def test_the_calendar_ends_with_2200(due: Due) -> None:
    assert due(Cron("0 0 1 1 *"), "UTC", "2199-06-01T00:00:00", 5) == ["2200-01-01T00:00:00Z"]
    assert due(Cron("0 0 1 1 *"), "Europe/Berlin", "9999-06-01T00:00:00", 5) == []
    assert due(Cron("0 0 1 1 *"), "Europe/Berlin", "1601-06-01T00:00:00", 1) == ["1601-12-31T23:06:32Z"]
