"""Recurrences: what RFC 5545 and RFC 7529 leave to their reader, and what this product decided."""

import pytest

from scheduler_domain.domain.triggers import Rrule, compile_rule, describe
from tests.unit.triggers.conftest import Due, Spec, instant

BERLIN = "Europe/Berlin"


def test_an_anchor_is_an_instance_only_where_it_matches(due: Due) -> None:
    rule = Rrule("FREQ=WEEKLY;BYDAY=WE", "2026-01-05T09:00:00")
    assert due(rule, "UTC", "2026-01-01T00:00:00", 1) == ["2026-01-07T09:00:00Z"]


def test_without_a_dtstart_the_creation_anchors_a_rule_in_whole_seconds(spec: Spec) -> None:
    made = spec(Rrule("FREQ=DAILY;INTERVAL=2"), BERLIN, "2026-06-01T12:34:56.789")
    found = compile_rule(made).instants(instant("2026-06-01T12:34:56"), 2)
    assert [at.isoformat() for at in found] == ["2026-06-03T12:34:56+00:00", "2026-06-05T12:34:56+00:00"]


def test_dtstart_in_the_block_and_beside_it_mean_the_same(due: Due) -> None:
    beside = due(Rrule("FREQ=DAILY", "2026-01-05T09:00:00"), BERLIN, "2026-01-04T00:00:00")
    for block in (
        "DTSTART:20260105T090000\nRRULE:FREQ=DAILY",
        "dtstart;tzid=Europe/Berlin:20260105T090000\r\nrrule:freq=daily",
        "DTSTART:20260105T080000Z\nRRULE:FREQ=DAI\r\n LY;",
        "RRULE:FREQ=DAILY\nDTSTART;VALUE=DATE-TIME:20260105T090000",
    ):
        assert due(Rrule(block), BERLIN, "2026-01-04T00:00:00") == beside
    assert due(Rrule("FREQ=DAILY", "2026-01-05T08:00:00Z"), BERLIN, "2026-01-04T00:00:00") == beside


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260107T090000", "2026-01-07"),
        ("20260107T085959", "2026-01-06"),
        ("20260107", "2026-01-07"),
        ("20260107T080000Z", "2026-01-07"),
        ("20260107T075959Z", "2026-01-06"),
        ("99991231T235959Z", "2026-01-14"),
    ],
)
def test_until_is_inclusive_local_or_an_instant(due: Due, until: str, last: str) -> None:
    rule = Rrule(f"FREQ=DAILY;UNTIL={until}", "2026-01-05T09:00:00")
    assert due(rule, BERLIN, "2026-01-04T00:00:00", 10)[-1][:10] == last


def test_a_floating_until_ends_elapsed_steps_with_the_last_local_time_not_after_it(due: Due) -> None:
    rule = Rrule("FREQ=MINUTELY;INTERVAL=30;UNTIL=20261025T023000", "2026-10-25T01:30:00")
    found = due(rule, BERLIN, "2026-10-24T20:00:00", 20)
    assert found[-1] == "2026-10-25T01:30:00Z"
    assert len(found) == 5


def test_count_counts_from_dtstart_and_not_what_is_removed_or_added(due: Due) -> None:
    block = "RRULE:FREQ=DAILY;COUNT=4\nEXDATE:20260106T090000\nRDATE:20260120T100000"
    assert due(Rrule(block, "2026-01-05T09:00:00"), "UTC", "2026-01-04T00:00:00", 9) == [
        "2026-01-05T09:00:00Z",
        "2026-01-07T09:00:00Z",
        "2026-01-08T09:00:00Z",
        "2026-01-20T10:00:00Z",
    ]


def test_a_local_time_that_skip_leaves_out_is_not_counted(due: Due) -> None:
    rule = Rrule("FREQ=DAILY;COUNT=4", "2026-03-27T02:30:00")
    assert due(rule, BERLIN, "2026-03-26T00:00:00", 9)[-1] == "2026-03-30T00:30:00Z"
    assert due(rule, BERLIN, "2026-03-26T00:00:00", 9, gap="SKIP")[-1] == "2026-03-31T00:30:00Z"


def test_removed_dates_are_compared_as_local_times_whatever_zone_they_are_written_in(due: Due) -> None:
    for removed in (
        "EXDATE:20260106T090000",
        "EXDATE:20260106T080000Z",
        "EXDATE;TZID=America/New_York:20260106T030000",
        "EXDATE;TZID=Europe/Berlin:20260106T090000,20300101T000000",
        "EXDATE;VALUE=DATE:20260106",
    ):
        rule = Rrule(f"RRULE:FREQ=DAILY\n{removed}", "2026-01-05T09:00:00")
        found = due(rule, BERLIN, "2026-01-05T00:00:00", 2)
        assert found == ["2026-01-05T08:00:00Z", "2026-01-07T08:00:00Z"], removed


def test_a_removed_shifted_time_is_named_by_its_local_time_before_the_shift(due: Due) -> None:
    rule = Rrule("RRULE:FREQ=DAILY\nEXDATE:20260329T023000", "2026-03-28T02:30:00")
    assert due(rule, BERLIN, "2026-03-28T12:00:00", 1) == ["2026-03-30T00:30:00Z"]


def test_removed_times_leave_elapsed_steps_out(due: Due) -> None:
    rule = Rrule("RRULE:FREQ=HOURLY\nEXDATE:20260105T100000", "2026-01-05T09:00:00")
    assert due(rule, "UTC", "2026-01-05T09:00:00", 1) == ["2026-01-05T11:00:00Z"]


def test_added_dates_alone_are_a_rule(due: Due) -> None:
    block = "DTSTART:20260105T090000\nRDATE:20260301T100000,20260201T100000\nRDATE;VALUE=DATE:20260401"
    assert due(Rrule(block), "UTC", "2026-01-01T00:00:00", 9) == [
        "2026-02-01T10:00:00Z",
        "2026-03-01T10:00:00Z",
        "2026-04-01T09:00:00Z",
    ]


def test_several_rules_are_a_union_without_repetitions(due: Due) -> None:
    block = "RRULE:FREQ=WEEKLY;BYDAY=MO\nRRULE:FREQ=MONTHLY;BYMONTHDAY=12\nRRULE:FREQ=HOURLY;INTERVAL=84"
    assert due(Rrule(block, "2026-01-05T09:00:00"), "UTC", "2026-01-05T00:00:00", 5) == [
        "2026-01-05T09:00:00Z",
        "2026-01-08T21:00:00Z",
        "2026-01-12T09:00:00Z",
        "2026-01-15T21:00:00Z",
        "2026-01-19T09:00:00Z",
    ]


def test_a_local_name_is_kept_where_an_elapsed_step_meets_it(spec: Spec) -> None:
    block = "RRULE:FREQ=HOURLY;INTERVAL=24\nRRULE:FREQ=DAILY"
    rule = compile_rule(spec(Rrule(block, "2026-01-05T09:00:00")))
    assert rule.page(instant("2026-01-05T12:00:00"), 1).instants[0].nominal == "2026-01-06T09:00:00"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MONTHLY", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;SKIP=BACKWARD", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD", ["2026-01-31", "2026-03-01", "2026-03-31"]),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;INTERVAL=3;SKIP=FORWARD", ["2026-01-31", "2026-05-01", "2026-07-31"]),
        ("FREQ=YEARLY;BYYEARDAY=366;SKIP=FORWARD", ["2027-01-01", "2028-01-01", "2028-12-31"]),
        ("FREQ=YEARLY;BYYEARDAY=366;SKIP=BACKWARD", ["2026-12-31", "2027-12-31", "2028-12-31"]),
        ("FREQ=YEARLY;BYYEARDAY=-366;SKIP=BACKWARD", ["2026-12-31", "2028-01-01", "2028-12-31"]),
        ("FREQ=YEARLY;INTERVAL=2;BYYEARDAY=366;SKIP=FORWARD", ["2027-01-01", "2028-12-31", "2031-01-01"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-31;SKIP=BACKWARD", ["2026-01-31", "2026-03-01", "2026-03-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=30,31;SKIP=FORWARD;BYSETPOS=-1", ["2026-01-31", "2026-03-01", "2026-03-31"]),
        ("FREQ=YEARLY;BYYEARDAY=-366,366;SKIP=BACKWARD;BYSETPOS=1", ["2026-12-31", "2028-01-01", "2028-12-31"]),
    ],
)
def test_skip_lets_another_day_stand_in_and_keeps_the_anchor(due: Due, rule: str, expected: list[str]) -> None:
    found = due(Rrule(rule, "2026-01-31T09:00:00"), "UTC", "2026-01-30T12:00:00")
    assert [at[:10] for at in found] == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=1TU,FR", ["01-02", "01-06", "01-09"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["01-30", "02-27", "03-31"]),
        ("FREQ=YEARLY;BYDAY=20MO", ["05-18", "05-17", "05-15"]),
        ("FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO", ["05-25", "05-31", "05-29"]),
        ("FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=FR", ["01-02", "01-01", "01-08"]),
        ("FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR", ["02-13", "03-13", "11-13"]),
        ("FREQ=YEARLY;BYYEARDAY=60", ["03-01", "03-01", "02-29"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", ["02-28", "02-28", "02-29"]),
        ("FREQ=MONTHLY;INTERVAL=2;BYDAY=-2FR", ["01-23", "03-20", "05-22"]),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,SU", ["01-11", "01-13", "01-25"]),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=MO;BYDAY=TU,SU", ["01-04", "01-13", "01-18"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2", ["01-07", "01-14", "01-21"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=6,18;BYSETPOS=1,-1", ["01-02", "01-05", "01-09"]),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=1,3,4", ["01-31", "03-31", "01-31"]),
        ("FREQ=DAILY;INTERVAL=100", ["01-01", "04-11", "07-20"]),
        ("FREQ=YEARLY;BYSECOND=60;BYMONTH=12;BYMONTHDAY=31", ["12-31", "12-31", "12-31"]),
    ],
)
def test_by_parts_choose_days(due: Due, rule: str, expected: list[str]) -> None:
    found = due(Rrule(rule, "2026-01-01T09:00:00"), "UTC", "2025-12-31T23:00:00")
    assert [at[5:10] for at in found] == expected


def test_a_century_between_instances_is_not_too_long(due: Due) -> None:
    rule = Rrule("FREQ=YEARLY;INTERVAL=100", "1997-09-02T09:00:00")
    assert [at[:4] for at in due(rule, "UTC", "1997-01-01T00:00:00", 5)] == ["1997", "2097", "2197"]


def test_weeks_are_counted_in_years_that_weeks_are_numbered_by(due: Due) -> None:
    rule = Rrule("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,TU;INTERVAL=3", "2024-12-31T00:00:00")
    assert [at[:10] for at in due(rule, "UTC", "2024-12-30T12:00:00", 4)] == [
        "2024-12-31",
        "2028-01-03",
        "2028-01-04",
        "2030-12-30",
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MINUTELY;INTERVAL=45;BYHOUR=9,10", ["09:00:00", "09:45:00", "10:30:00", "09:00:00"]),
        ("FREQ=MINUTELY;INTERVAL=50;BYHOUR=9", ["09:00:00", "09:50:00", "09:10:00", "09:20:00"]),
        ("FREQ=SECONDLY;INTERVAL=7;BYMINUTE=0;BYHOUR=9;BYSECOND=0", ["09:00:00"] * 4),
        ("FREQ=HOURLY;INTERVAL=5;BYHOUR=9,14", ["09:00:00", "14:00:00", "09:00:00", "14:00:00"]),
        ("FREQ=HOURLY;INTERVAL=2;BYMINUTE=0,20,40;BYSETPOS=-1", ["09:40:00", "11:40:00", "13:40:00", "15:40:00"]),
        ("FREQ=SECONDLY;BYSECOND=5,4,4", ["09:00:04", "09:00:05", "09:01:04", "09:01:05"]),
    ],
)
def test_stepped_rules_keep_their_phase_across_days(due: Due, rule: str, expected: list[str]) -> None:
    found = due(Rrule(rule, "2026-01-05T09:00:00"), "UTC", "2026-01-05T08:59:59", 4)
    assert [at[11:19] for at in found] == expected


def test_an_old_anchor_changes_nothing_but_the_phase(due: Due) -> None:
    for parts in ("DAILY;INTERVAL=3", "WEEKLY;INTERVAL=2", "SECONDLY;INTERVAL=7", "MINUTELY;INTERVAL=7;BYHOUR=9"):
        rule = Rrule(f"FREQ={parts}", "0001-01-01T09:00:00")
        found = due(rule, "UTC", "2026-01-01T00:00:00", 2)
        assert len(found) == 2


@pytest.mark.parametrize("skip", ["OMIT", "FORWARD", "BACKWARD"])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO", ["2024-12-30", "2027-01-04", "2029-01-01"]),
        (
            "FREQ=YEARLY;BYWEEKNO=1,53;BYSETPOS=1;BYDAY=MO,TU,WE,TH,FR,SA,SU",
            ["2024-12-30", "2025-12-29", "2027-01-04"],
        ),
        ("FREQ=MONTHLY;BYDAY=5MO", ["2024-12-30", "2025-03-31", "2025-06-30"]),
    ],
)
def test_skip_changes_nothing_where_every_named_day_exists(due: Due, rule: str, expected: list[str], skip: str) -> None:
    found = due(Rrule(f"{rule};SKIP={skip}", "2024-12-30T09:00:00"), "UTC", "2024-12-01T00:00:00")
    assert [at[:10] for at in found] == expected


@pytest.mark.parametrize(
    "rule", ["FREQ=MINUTELY;INTERVAL=5", "FREQ=YEARLY;BYWEEKNO=1", "FREQ=WEEKLY;WKST=SU;BYDAY=MO", "FREQ=DAILY"]
)
@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00"])
@pytest.mark.parametrize("tz", ["Asia/Tokyo", "UTC"])
def test_a_start_in_the_first_hours_of_the_calendar_is_described_and_followed(
    spec: Spec, rule: str, start: str, tz: str
) -> None:
    given = spec(Rrule(rule, start), tz)
    assert len(compile_rule(given).instants(instant("2026-01-01T00:00:00"), 2)) == 2
    assert describe(given)


def test_a_rule_whose_end_lies_before_its_beginning_has_no_instants(due: Due) -> None:
    assert due(Rrule("FREQ=DAILY;UNTIL=19970901T090000", "1997-09-02T09:00:00"), "UTC", "1997-01-01T00:00:00") == []
