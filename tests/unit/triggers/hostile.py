"""Rules that were written to hurt: each breaks or stalls some library, or is the worst we know of its kind for us."""

import time
from datetime import UTC, datetime

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
    cron,
    describe,
    lint,
    rrule,
    rrule_days,
    rrule_text,
    rule,
    zones,
)

AFTER = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
LIMIT_SECONDS = 0.05
START, OLD = "2016-01-04T09:00:00", "1901-01-04T09:00:00"

CACHES = (
    cron.parse_cron, cron._days, rrule._units_in_phase, rrule._wanted_units, rrule_days._calendar_days,
    rrule_days._month_landing, rrule_text.parse_block, rule._compile_shared, zones.load_zone,
)  # fmt: skip


def numbers(low: int, high: int) -> str:
    return ",".join(map(str, range(low, high + 1)))


ALL_TIMES = f"BYHOUR={numbers(0, 23)};BYMINUTE={numbers(0, 59)}"
MOST_ZONES = "\n".join(
    f"RDATE;TZID={name}:20270101T000000" for name in sorted(zones.zone_names())[:: len(zones.zone_names()) // 20][:20]
)
THOUSAND = ",".join(f"20{26 + n // 336:02}{n // 28 % 12 + 1:02}{n % 28 + 1:02}T090000" for n in range(1000))

HOSTILE: dict[str, Trigger] = {
    "dates in twenty zones": Rrule(f"RRULE:FREQ=DAILY;COUNT=1\n{MOST_ZONES}", START),
    "cron every second": Cron("* * * * * *"),
    "cron 256 characters": Cron(",".join(["0-59"] * 49) + " * * * *"),
    "cron never": Cron("0 0 31 2,4,6,9,11 *"),
    "cron leap day on a Sunday": Cron("0 0 29 2 */7"),
    "cron digits": Cron("9" * 256),
    "no interval": Rrule("FREQ=DAILY;INTERVAL=0", START),
    "secondly, ten years old": Rrule("FREQ=SECONDLY", START),
    "secondly, two thousand years old": Rrule("FREQ=SECONDLY;UNTIL=99991231T235959", "0001-01-01T00:00:00"),
    "secondly, leap days": Rrule("FREQ=SECONDLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYHOUR=23;BYSECOND=59", START),
    "secondly, once in 3,601 days": Rrule("FREQ=SECONDLY;INTERVAL=3601;BYHOUR=3;BYMINUTE=0;BYSECOND=1", START),
    "secondly, once in 236 years": Rrule("FREQ=SECONDLY;INTERVAL=86399;BYHOUR=3;BYMINUTE=0;BYSECOND=1", START),
    "secondly, on the one weekday that is not wanted": Rrule(
        "FREQ=SECONDLY;INTERVAL=3605;BYHOUR=3;BYMINUTE=0;BYSECOND=0;BYDAY=MO,TU,WE,TH,FR,SA", "2016-01-03T03:00:00"
    ),
    "secondly, six days of seven": Rrule(
        "FREQ=SECONDLY;INTERVAL=1792;BYDAY=MO,TU,WE,TH,FR,SA;BYMINUTE=7;BYSECOND=13", START
    ),
    "secondly, 31st only": Rrule("FREQ=SECONDLY;INTERVAL=3599;BYMINUTE=7;BYSECOND=13;BYMONTHDAY=31", START),
    "secondly, largest interval": Rrule("FREQ=SECONDLY;INTERVAL=100000000;BYSECOND=30", START),
    "secondly, counted": Rrule("FREQ=SECONDLY;INTERVAL=7;BYHOUR=3;COUNT=100000", START),
    "secondly, counted and rare": Rrule("FREQ=SECONDLY;INTERVAL=90061;BYHOUR=3;COUNT=100000", OLD),
    "secondly, counted and dense": Rrule("FREQ=SECONDLY;INTERVAL=3599;BYMINUTE=7;COUNT=100000", OLD),
    "minutely, nearly a day": Rrule("FREQ=MINUTELY;INTERVAL=1439;BYHOUR=3;BYMINUTE=1;BYDAY=MO", START),
    "minutely, largest interval": Rrule("FREQ=MINUTELY;INTERVAL=99999999;BYHOUR=3", "0001-01-04T09:00:00"),
    "hourly, 11 years": Rrule("FREQ=HOURLY;INTERVAL=99999;BYHOUR=3;BYMONTH=2", "0001-01-04T09:00:00"),
    "daily, 4,320 times": Rrule(f"FREQ=DAILY;{ALL_TIMES};BYSECOND=1,2,3;COUNT=100000", OLD),
    "daily, 86,400 times": Rrule(f"FREQ=DAILY;{ALL_TIMES};BYSECOND={numbers(0, 59)}", OLD),
    "daily, counted in a gap": Rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;COUNT=100000", OLD),
    "daily, never its weekday": Rrule("FREQ=DAILY;INTERVAL=7;BYDAY=TU", START),
    "daily, largest interval": Rrule("FREQ=DAILY;INTERVAL=100000000;BYMONTH=5", "0001-01-04T09:00:00"),
    "weekly, positions counted": Rrule("FREQ=WEEKLY;BYDAY=MO,TU,WE;BYHOUR=1,2;BYSETPOS=1,-1;COUNT=100000", OLD),
    "weekly, largest interval": Rrule("FREQ=WEEKLY;INTERVAL=100000000;BYDAY=MO;BYMONTH=5", "0001-01-04T09:00:00"),
    "monthly, largest interval": Rrule("FREQ=MONTHLY;INTERVAL=100000000;BYDAY=5MO", START),
    "monthly, skips": Rrule(
        f"FREQ=MONTHLY;BYMONTHDAY={numbers(1, 31)},{numbers(-31, -1)};SKIP=FORWARD;BYDAY=5MO;COUNT=100000", OLD
    ),
    "yearly, never": Rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", START),
    "yearly, never its week": Rrule("FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6", START),
    "yearly, 366 positions of half a million": Rrule(
        f"FREQ=YEARLY;{ALL_TIMES};BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS={numbers(1, 366)};COUNT=100000", OLD
    ),
    "yearly, skips": Rrule(
        f"FREQ=YEARLY;BYYEARDAY={numbers(1, 366)};BYMONTHDAY={numbers(1, 31)};SKIP=FORWARD;COUNT=100000", OLD
    ),
    "five rules, a thousand dates": Rrule("\n".join(["RRULE:FREQ=DAILY"] * 5) + f"\nEXDATE:{THOUSAND}", START),
    "everything removed": Rrule(f"RRULE:FREQ=DAILY;UNTIL=20281220\nEXDATE:{THOUSAND}", "2026-01-01T09:00:00"),
    "zero is no day": Rrule("FREQ=MONTHLY;BYMONTHDAY=0", START),
    "rrule of X": Rrule("X" * 5_000),
    "rrule of names": Rrule("RRULE:" * 5_000),
    "rrule of semicolons": Rrule(";" * 2_000),
    "rrule of lines": Rrule(" \n" * 16_000),
    "rrule of folds": Rrule("\r\n " * 8_000),
    "rrule of parameters": Rrule("A;TZID=" * 4_000 + ":"),
    "rrule of one list": Rrule("FREQ=DAILY;BYHOUR=" + "1," * 1_000 + "1"),
    "shortest delay": FixedDelay(1),
    "huge delay": FixedDelay(10**30),
    "last one-shot": OneShot("9999-12-31T23:59:59"),
}

POLICIES = (DstPolicy(), DstPolicy("SKIP", "BOTH"), DstPolicy("FIRST_VALID", "SECOND"))
EXCLUSIONS = (None, Exclusions(dates=("2026-06-03",), weekdays=("SA", "SU", "MO"), roll="PREVIOUS"))


def slowest_call(trigger: Trigger, dst: DstPolicy, exclude: Exclusions | None, zone: str = "Europe/Berlin") -> float:
    """Return the CPU seconds of the slowest of the calls that a request makes, from cold caches."""
    for cached in CACHES:
        cached.cache_clear()
    spec = RuleSpec(trigger, zone, AFTER, dst, exclude)
    slowest = 0.0

    def timed(call: object, *arguments: object) -> object:
        nonlocal slowest
        started = time.process_time()
        try:
            return call(*arguments)  # type: ignore[operator]
        except TriggerError:
            return None
        finally:
            slowest = max(slowest, time.process_time() - started)

    compiled = timed(compile_rule, spec)
    if isinstance(compiled, rule.Rule):
        timed(compiled.page, AFTER, 1)
        timed(compiled.page, datetime(2150, 1, 1, tzinfo=UTC), 1)
        timed(compiled.first, AFTER)
        timed(lint, spec)
        timed(describe, spec)
    return slowest
