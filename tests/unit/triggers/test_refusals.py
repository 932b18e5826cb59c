"""Every bound and every refusal: its code, its field, and words that say what is accepted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler_domain.domain.triggers import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    OneShot,
    Rrule,
    RuleSpec,
    Trigger,
    TriggerError,
    compile_rule,
)

NOW = datetime(2026, 1, 5, 3, 7, tzinfo=UTC)
START = "2026-01-05T09:00:00"


def refusal(trigger: Trigger, **rest: Any) -> TriggerError:
    with pytest.raises(TriggerError) as caught:
        compile_rule(RuleSpec(trigger, rest.pop("tz", "UTC"), NOW, **rest))
    assert caught.value.message == str(caught.value)
    assert caught.value.message.endswith((".", "?"))
    return caught.value


CRONS = {
    "cron-fields": ["", "* * * *", "* * * * * * *", "xyz", "0 0 12 1/5 * ? 2026"],
    "cron-length": ["," * 257, "0-59," * 60 + "0 * * * *"],
    "cron-syntax": [
        "1,,2 * * * *", "1--5 * * * *", "0 0 ? ? * X", "0 0 * * L", "2/ * * * *", "/2 * * * *", "1//2 * * * *",
        "¹ * * * *", "1-1_0 * * * *", "* * LWX * *", "* * LL * *", "* * * * 5L-6", "* * * * 5L#1", "* * * * 5L/3",
        "? * * * *", "* ? * * *", "0 0 L-3 * *", "0 0 15W,16 * *", "0 0 1-5W * *", "0 0 W * *", "R * * * *",
        "H * * * *", "+5 * * * *", "0 0 * * MONDAY", "0 0 * * MON#2/2", "0\n0 * * *", "0 0 * * 1-5L", "*-5 * * * *",
        "a b c d e", "**/2 * * * *", "*/-1 * * * *", "1-2-3 * * * *", "0 0 3L * *", "0 0 * * #2", "0 0 * L *",
    ],
    "cron-value": [
        "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * 0 *", "0 0 * * 8", "60 0 0 * * *",
        "0 0 * * MON#6", "0 0 * * MON#0", "0 0 0W * *", "0 0 32W * *", "0 0 * * 8L", "61-62 * * * *", "0 0 * * 9#1",
    ],
    "cron-range": [
        "5-1 * * * *", "0 22-2 * * *", "0 0 * * FRI-MON", "0 0 * DEC-JAN *", "0 0 * * SAT-SUN", "0 0 * * 1,7/2",
    ],
    "cron-step": ["*/0 * * * *", "1-5/0 * * * *"],
    "cron-macro": ["@reboot", "@every 5m", "@fortnightly", "@"],
    "cron-zone": ["TZ=UTC 0 0 * * *", "CRON_TZ=Europe/Berlin 0 0 * * *"],
    "never-fires": [
        "0 0 30 2 *", "0 0 31 4,6,9,11 *", "1 1 */100 * MON#4", "0 0 30 FEB ?",
    ],
    "too-many-times": ["* * 1-6 * * *", "* * 0-22 * * *"],
}  # fmt: skip


@pytest.mark.parametrize(("code", "cron"), [(code, cron) for code, crons in CRONS.items() for cron in crons])
def test_a_wrong_cron_expression_is_refused(code: str, cron: str) -> None:
    error = refusal(Cron(cron))
    assert (error.code, error.field) == (code, "trigger.cron")


RULES = {
    "rrule-combination": [
        "FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z", "FREQ=DAILY;BYSETPOS=1", "FREQ=DAILY;BYWEEKNO=3",
        "FREQ=MONTHLY;BYYEARDAY=5", "FREQ=WEEKLY;BYYEARDAY=5", "FREQ=DAILY;BYYEARDAY=5", "FREQ=WEEKLY;BYMONTHDAY=5",
        "FREQ=WEEKLY;BYDAY=1MO", "FREQ=DAILY;BYDAY=-1MO", "FREQ=YEARLY;BYWEEKNO=3;BYDAY=1MO", "FREQ=DAILY;SKIP=FORWARD",
    ],
    "rrule-value": [
        "FREQ=YEARLY;BYMONTH=13", "FREQ=YEARLY;BYMONTH=0", "FREQ=YEARLY;BYYEARDAY=367", "FREQ=YEARLY;BYYEARDAY=0",
        "FREQ=WEEKLY;BYDAY=XX", "FREQ=MONTHLY;BYDAY=0MO", "FREQ=MONTHLY;BYDAY=54MO", "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=YEARLY;BYWEEKNO=54", "FREQ=DAILY;BYHOUR=24", "FREQ=DAILY;BYHOUR=-1",
        "FREQ=DAILY;BYMINUTE=60", "FREQ=DAILY;BYSECOND=61", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=100000001", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=100001", "FREQ=DAILY;COUNT=",
        "FREQ=DAILY;UNTIL=tomorrow", "FREQ=DAILY;UNTIL=20261301", "FREQ=DAILY;UNTIL=20260101T250000",
        "FREQ=DAILY;WKST=8",
        "FREQ=DAILY;BYHOUR=", "FREQ=DAILY;BYHOUR=1,,2", "FREQ=DAILY;INTERVAL", "FREQ=YEARLY;BYMONTH=5L",
        "FREQ=MONTHLY;SKIP=SIDEWAYS", "FREQ=MONTHLY;BYMONTH=1;BYSETPOS=367", "FREQ=DAILY;INTERVAL=1e3",
        "RRULE:FREQ=DAILY\nEXDATE;VALUE=PERIOD:20260101T000000Z/PT1H",
        "RRULE:FREQ=DAILY\nRDATE;TZID=UTC:20260101T000000Z", "FREQ=DAILY;UNTIL=99999999",
    ],
    "out-of-calendar": [
        "RRULE:FREQ=DAILY\nRDATE:22500615T120000", "DTSTART;VALUE=DATE:22500615\nRRULE:FREQ=DAILY",
    ],
    "rrule-part": [
        "every day", "RRULE FREQ", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;BYEASTER=1", "FREQ=DAILY;X-NAME=1",
        "FREQ=DAILY;;COUNT=1",
    ],
    "rrule-frequency": ["INTERVAL=2", "FREQ=FORTNIGHTLY", "RRULE:COUNT=1"],
    "rrule-calendar": ["RSCALE=HEBREW;FREQ=YEARLY", "RSCALE=CHINESE;FREQ=YEARLY;SKIP=FORWARD"],
    "rrule-length": ["FREQ=DAILY;BYHOUR=" + "1," * 1100 + "1", "X" * 40_000],
    "rrule-syntax": [
        "", "EXRULE:FREQ=DAILY",
        "DTSTART:20260101T000000", "RRULE;X=1:FREQ=DAILY",
        "FREQ=DAILY\nCOLOUR:red",
        "DTSTART:20260105T090000\nDTSTART:20260105T090000\nRRULE:FREQ=DAILY", "FREQ=DÄILY",
    ],
    "rrule-too-many": [
        "\n".join(["RRULE:FREQ=DAILY"] * 6),
        "RRULE:FREQ=DAILY\nEXDATE:" + ",".join(["20260101"] * 1001),
        "\n".join(["RRULE:FREQ=DAILY", *(f"RDATE;TZID=Zone/{n}:20260101T000000" for n in range(21))]),
    ],
    "rrule-anchor": ["DTSTART:20260106T090000\nRRULE:FREQ=DAILY"],
    "rrule-zone": ["DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY"],
    "unknown-zone": ["RRULE:FREQ=DAILY\nEXDATE;TZID=Mars/Olympus:20260105T090000"],
    "too-many-times": [
        f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(60)))};BYSECOND=1,2,3,4"
    ],
    "never-fires": [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYMONTHDAY=31;BYMONTH=4", "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", "FREQ=DAILY;BYHOUR=9;BYSETPOS=2", "FREQ=HOURLY;INTERVAL=24;BYHOUR=10",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=MINUTELY;INTERVAL=1440;BYMINUTE=1", "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=SECONDLY;INTERVAL=2;BYSECOND=1", "FREQ=SECONDLY;BYSECOND=1;BYSETPOS=2",
        "FREQ=MINUTELY;BYSECOND=1;BYSETPOS=-2",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("code", "rule"), [(code, rule) for code, rules in RULES.items() for rule in rules])
def test_a_wrong_recurrence_is_refused(code: str, rule: str) -> None:
    dtstart = None if rule.startswith("DTSTART;") else START
    error = refusal(Rrule(rule, dtstart))
    assert error.code == code
    assert error.field == ("trigger.dtstart" if code == "rrule-anchor" else "trigger.rrule")


@pytest.mark.parametrize(
    "dtstart", ["tomorrow", "2026-02-30T09:00:00", "2026-01-05T09:00:00.5", "2026-W01", "", "9" * 99]
)
def test_a_dtstart_that_is_no_whole_second_is_refused(dtstart: str) -> None:
    error = refusal(Rrule("FREQ=DAILY", dtstart))
    assert (error.code, error.field) == ("bad-time", "trigger.dtstart")


def test_a_start_before_the_calendar_of_its_zone_is_refused() -> None:
    error = refusal(Rrule("FREQ=DAILY", "0001-01-01T00:00:00Z"), tz="America/New_York")
    assert (error.code, error.field) == ("out-of-calendar", "trigger.dtstart")


def test_a_count_from_before_1900_is_refused() -> None:
    assert refusal(Rrule("FREQ=DAILY;COUNT=5", "1899-12-31T09:00:00")).code == "count-anchor"


@pytest.mark.parametrize("delay", [0, -1, 50 * 365 * 86_400 + 1, True, 1.5, "60"])
def test_a_delay_out_of_range_is_refused(delay: Any) -> None:
    error = refusal(FixedDelay(delay))
    assert (error.code, error.field) == ("delay-range", "trigger.delaySec")


def test_an_unknown_anchor_of_a_delay_is_refused() -> None:
    assert refusal(FixedDelay(60, "START")).code == "delay-anchor"


@pytest.mark.parametrize("at", ["", "soon", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "0000-01-01T00:00:00Z"])
def test_a_one_shot_that_is_no_time_is_refused(at: str) -> None:
    error = refusal(OneShot(at))
    assert (error.code, error.field) == ("bad-time", "trigger.startAt")


def test_a_one_shot_after_the_calendar_is_refused() -> None:
    assert refusal(OneShot("2201-01-01T00:00:00Z")).code == "out-of-calendar"


def test_an_unknown_answer_to_a_past_one_shot_is_refused() -> None:
    assert refusal(OneShot("2030-01-01T00:00:00Z", "SHRUG")).field == "trigger.ifPast"


@pytest.mark.parametrize(
    ("dst", "field"), [(DstPolicy("JUMP", "FIRST"), "dst.gap"), (DstPolicy("SHIFT", "LAST"), "dst.fold")]
)
def test_an_unknown_policy_is_refused(dst: DstPolicy, field: str) -> None:
    assert refusal(Cron("0 9 * * *"), dst=dst).field == field


EXCLUSIONS = [
    (Exclusions(dates=("2026-02-30",)), "exclude-dates"),
    (Exclusions(dates=("20260101",)), "exclude-dates"),
    (Exclusions(dates=("2026-01-01",) * 1001), "exclude-dates"),
    (Exclusions(weekdays=("X",)), "exclude-weekdays"),
    (Exclusions(weekdays=("MO", "TU", "WE", "TH", "FR", "SA", "SU")), "never-fires"),
    (Exclusions(country="XX"), "exclude-country"),
    (Exclusions(country="../x"), "exclude-country"),
    (Exclusions(country="DE", subdivision="ZZ"), "exclude-country"),
    (Exclusions(subdivision="BE"), "exclude-country"),
    (Exclusions(dates=("2026-01-01",), roll="AROUND"), "exclude-roll"),
]


@pytest.mark.parametrize(("exclude", "code"), EXCLUSIONS)
def test_wrong_exclusions_are_refused(exclude: Exclusions, code: str) -> None:
    assert refusal(Cron("0 9 * * *"), exclude=exclude).code == code


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    later, earlier = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    assert refusal(Cron("0 9 * * *"), start_at=later, end_at=earlier).code == "window-empty"


def test_a_naive_window_is_refused() -> None:
    naive = datetime(2026, 2, 1)  # noqa: DTZ001 - the mistake under test
    assert refusal(Cron("0 9 * * *"), start_at=naive).field == "startAt"


def test_the_largest_accepted_values_are_accepted() -> None:
    for trigger in (
        Cron("0-59," * 49 + "0 * * * *"),
        Rrule("FREQ=DAILY;COUNT=100000", START),
        Rrule("FREQ=SECONDLY;INTERVAL=100000000", START),
        Rrule("\n".join(["RRULE:FREQ=DAILY"] * 5), START),
        Rrule("RRULE:FREQ=DAILY\nEXDATE:" + ",".join(["20260101T090000"] * 1000), START),
        FixedDelay(50 * 365 * 86_400),
        OneShot("2200-12-31T23:59:59Z"),
    ):
        assert compile_rule(RuleSpec(trigger, "UTC", NOW)).instants(NOW, 1)
