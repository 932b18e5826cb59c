"""Rules in words, and what a linter remarks on them."""

import pytest

from scheduler_domain.domain.triggers import Cron, Exclusions, FixedDelay, OneShot, Rrule, Trigger, describe, lint
from tests.unit.triggers.conftest import Spec, instant


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 past every hour"),
        ("0 * * * *", "Every hour, on the hour"),
        ("5 * * * *", "At minute 5 past every hour"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("30 * * * * *", "At second 30"),
        ("* 30 * * * *", "Every second in minute 30"),
        ("0 9 * * *", "At 09:00 every day"),
        ("30 15 10 * * *", "At 10:15:30 every day"),
        ("0,30 9-17 * * MON-FRI", "Every 30 minutes from 09:00 to 17:59 on Monday to Friday"),
        ("10,40 9-17 * * *", "At minutes 10 and 40 past the hours 9 to 17 every day"),
        ("* 9,17 * * *", "Every minute during the hours 9 and 17 every day"),
        ("0 0 1,15 * MON", "At 00:00 on the 1st and 15th of the month or on Monday"),
        ("0 0 13 * */5", "At 00:00 on the 13th of the month, if it is Friday and Sunday"),
        ("0 0 L * *", "At 00:00 on the last day of the month"),
        ("0 0 LW * *", "At 00:00 on the last weekday (Monday to Friday) of the month"),
        ("0 0 15W * *", "At 00:00 on the weekday (Monday to Friday) nearest to the 15th of the month"),
        ("0 0 * * FRI#2", "At 00:00 on the 2nd Friday of the month"),
        ("0 0 * * 5L", "At 00:00 on the last Friday of the month"),
        ("0 0 1 JAN,JUN-AUG *", "At 00:00 on the 1st of the month in January and June to August"),
        ("@weekly", "At 00:00 on Sunday"),
        ("0 9 1-31 * MON", "At 09:00 every day"),
        ("0 9 1 * 0-6", "At 09:00 every day"),
        ("0 9 * * 0-6,FRI#2", "At 09:00 every day"),
        ("0 9 *,L * *", "At 09:00 every day"),
        ("0 9 */1 * MON", "At 09:00 on Monday"),
    ],
)
def test_a_cron_expression_in_words(spec: Spec, cron: str, words: str) -> None:
    assert describe(spec(Cron(cron), "Europe/Berlin")) == f"{words}, Europe/Berlin time"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("FREQ=DAILY", "Every day at 09:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU", "Every 2 weeks on Tuesday and Sunday at 09:00"),
        ("FREQ=WEEKLY", "Every week on Saturday at 09:00"),
        ("FREQ=MONTHLY", "Every month on the 31st at 09:00"),
        ("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=6,18", "Every month on the last Friday of the month at 06:00 and 18:00"),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "Every month on Monday to Friday at 09:00, of these the last of each month",
        ),
        (
            "FREQ=MONTHLY;SKIP=BACKWARD",
            "Every month on the 31st (or the day before, where that day does not exist) at 09:00",
        ),
        ("FREQ=YEARLY", "Every year on 31 January at 09:00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", "Every year on the last day of the month in February at 09:00"),
        ("FREQ=YEARLY;BYDAY=20MO", "Every year on the 20th Monday of the year at 09:00"),
        ("FREQ=YEARLY;BYYEARDAY=60,-1", "Every year on the last day and day 60 of the year at 09:00"),
        ("FREQ=YEARLY;BYWEEKNO=20", "Every year in week 20 on Saturday at 09:00"),
        ("FREQ=HOURLY;INTERVAL=5", "Every 5 hours of elapsed time since 09:00:00"),
        ("FREQ=MINUTELY;INTERVAL=7;BYHOUR=9", "Every 7 minutes, hour 9"),
        ("FREQ=DAILY;COUNT=3", "Every day at 09:00, 3 times"),
        ("FREQ=DAILY;COUNT=1", "Every day at 09:00, once"),
        ("FREQ=DAILY;UNTIL=20260601", "Every day at 09:00, until 2026-06-01"),
        ("FREQ=DAILY;UNTIL=20260601T080000Z", "Every day at 09:00, until 2026-06-01 10:00:00"),
        (
            "RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY\nRDATE:20260601T000000\nEXDATE:20260602T090000,20260603T090000",
            "Every day at 09:00; and every week on Saturday at 09:00, and at 1 added time, except 2 removed times",
        ),
    ],
)
def test_a_recurrence_in_words(spec: Spec, rule: str, words: str) -> None:
    described = describe(spec(Rrule(rule, "2026-01-31T09:00:00"), "Europe/Berlin"))
    assert described == f"{words}, from 2026-01-31 on, Europe/Berlin time"


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (
            FixedDelay(86_400),
            "Every 24 hours of elapsed time, after the end of the previous occurrence, from creation on",
        ),
        (FixedDelay(90, "SCHEDULE"), "Every 90 seconds of elapsed time, on a fixed grid, from creation on"),
        (OneShot("2027-01-01T09:00:00Z"), "Once, at 2027-01-01 09:00:00 UTC"),
        (OneShot("2027-01-01T09:00:00"), "Once, at 2027-01-01 09:00:00, UTC time"),
        (Rrule("RDATE:20270101T000000", "2027-01-01"), "On the dates that RDATE lists, from 2027-01-01 on, UTC time"),
    ],
)
def test_other_triggers_in_words(spec: Spec, trigger: Trigger, words: str) -> None:
    assert describe(spec(trigger)) == words


def test_window_and_exclusions_are_part_of_the_words(spec: Spec) -> None:
    described = describe(
        spec(
            Cron("0 9 * * *"),
            start_at=instant("2026-02-01T00:00:00"),
            end_at=instant("2026-03-01T00:00:00"),
            exclude=Exclusions(("2026-02-02",), ("SA", "SU"), "DE", "BE", "NEXT"),
        )
    )
    assert described == (
        "At 09:00 every day, UTC time, not before 2026-02-01 00:00:00 UTC, not after 2026-03-01 00:00:00 UTC, "
        "except on SA, SU, one date and public holidays in DE-BE (moved to the next business day)"
    )


@pytest.mark.parametrize(
    ("trigger", "tz", "codes"),
    [
        (Cron("0 9 * * *"), "Europe/Berlin", []),
        (Cron("0 9 1 * MON"), "UTC", ["both-day-fields"]),
        (Cron("*/7 * * * *"), "UTC", ["uneven-step"]),
        (Cron("*/90 * * * *"), "UTC", []),
        (Cron("0 */7 * * * *"), "UTC", ["uneven-step"]),
        (Cron("30 2 * * *"), "Europe/Berlin", ["gap-hour", "fold-hour"]),
        (Cron("30 2 * * *"), "Asia/Tokyo", []),
        (Cron("0 * * * *"), "Europe/Berlin", []),
        (Cron("0 0 29 2 *"), "UTC", ["rare", "year-2100"]),
        (Rrule("FREQ=YEARLY;INTERVAL=4", "2026-06-01T00:00:00"), "UTC", ["rare"]),
        (Rrule("FREQ=YEARLY", "2024-02-29T00:00:00"), "UTC", ["rare", "year-2100"]),
        (FixedDelay(86_400), "UTC", ["day-is-not-24-hours"]),
        (FixedDelay(3_600), "UTC", []),
        (OneShot("2026-03-29T02:30:00"), "Europe/Berlin", ["gap-hour"]),
    ],
)
def test_a_linter_remarks_on_what_is_perhaps_not_meant(spec: Spec, trigger: Trigger, tz: str, codes: list[str]) -> None:
    notes = lint(spec(trigger, tz))
    assert [note.code for note in notes] == codes
    assert all(note.message.endswith(".") for note in notes)


def test_a_leap_day_is_said_to_come_every_four_years(spec: Spec) -> None:
    assert lint(spec(Cron("0 0 29 2 *")))[0].message == "It takes place about every 4 years."


def test_the_note_on_a_gap_says_what_becomes_of_it(spec: Spec) -> None:
    (note, _) = lint(spec(Cron("30 2 * * *"), "Europe/Berlin"))
    assert note.message == (
        "2026-03-29 02:30:00 does not exist in Europe/Berlin, where clocks go forward; "
        "that occurrence takes place at 03:30:00."
    )


def test_the_note_on_a_skipped_gap_says_that_nothing_happens(spec: Spec) -> None:
    notes = lint(spec(Cron("30 2 * * *"), "Europe/Berlin", gap="SKIP"))
    assert notes[0].code == "gap-hour"
    assert "is left out" in notes[0].message
