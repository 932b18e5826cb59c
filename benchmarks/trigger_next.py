"""trigger_next: the time to compute one next instant, and amortised over 100, of rules that began ten years ago.

Beside it, in the same run, croniter, cronsim and dateutil doing the same on naive local time, without a zone, which
flatters them: they are given less to do. A library that does not know a rule, or needs more than 0.2 s for one answer,
has no figure. All figures are microseconds, the best of several short rounds, so that a busy machine blurs them less.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

from croniter import croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr

from benchmarks.figures import Result, result
from scheduler_domain.domain.triggers import Cron, FixedDelay, Rrule, RuleSpec, Trigger, compile_rule

ZONE = "Europe/Berlin"
AFTER = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
NAIVE_AFTER = datetime(2026, 6, 1, 14, 34, 56)  # noqa: DTZ001 (the same moment on the wall)
NAIVE_START = datetime(2016, 1, 4, 9, 0)  # noqa: DTZ001
MANY = 100

CRONS = (
    "* * * * *", "*/5 * * * *", "0 9 * * *", "0 9 * * 1-5", "30 2 * * *", "0 0 1 * *", "0 0 1,15 * MON",
    "0 9 L * *", "0 9 * * MON#2", "0 0 1 1 *", "0 0 29 2 *",
)  # fmt: skip
RRULES = (
    "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=MO,WE,FR", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
    "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD",
    "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", "FREQ=HOURLY;INTERVAL=5",
    "FREQ=MINUTELY;INTERVAL=7;BYHOUR=9,10",
    "FREQ=SECONDLY;INTERVAL=7;BYHOUR=9", "FREQ=DAILY;COUNT=10000",
)  # fmt: skip
Libraries = dict[str, Callable[[int], object]]


def run(full: bool) -> Iterator[Result]:
    rounds = 200 if full else 40
    for cron in CRONS:
        yield _measure(cron, Cron(cron), rounds, _cron_libraries(cron))
    for rule in RRULES:
        yield _measure(rule, Rrule(rule, NAIVE_START.isoformat()), rounds, _rrule_libraries(rule))
    yield _measure("every 90 s", FixedDelay(90), rounds, {})


def _measure(text: str, trigger: Trigger, rounds: int, libraries: Libraries) -> Result:
    spec = RuleSpec(trigger, ZONE, datetime(2016, 1, 4, 8, 0, tzinfo=UTC))
    rule = compile_rule(spec)
    others = {}
    for name, ask in libraries.items():
        if _answers_soon(ask):
            others[f"{name}_us"] = _best(lambda ask=ask: ask(1), rounds // 4, 4)
            others[f"{name}_amortised_us"] = round(_best(lambda ask=ask: ask(MANY), rounds // 8, 1) / MANY, 2)
    return result(
        "trigger_next",
        MANY,
        {"rule": text, "zone": ZONE},
        us=_best(lambda: rule.instants(AFTER, 1), rounds, 50),
        amortised_us=round(_best(lambda: rule.instants(AFTER, MANY), rounds, 2) / MANY, 2),
        page_us=_best(lambda: rule.page(AFTER, 1), rounds, 50),
        compile_us=_best(lambda: compile_rule(spec), rounds, 50),
        **others,
    )


def _best(call: Callable[[], object], rounds: int, calls: int) -> float:
    """Return the microseconds of one call in the quickest round."""
    best = float("inf")
    for _ in range(max(rounds, 3)):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - started)
    return round(best / calls * 1e6, 2)


def _answers_soon(ask: Callable[[int], object]) -> bool:
    started = time.perf_counter()
    try:
        ask(1)
    except Exception:  # noqa: BLE001 (each library has its own exceptions for what it does not know)
        return False
    return time.perf_counter() - started < 0.2


def _cron_libraries(cron: str) -> Libraries:
    def by_croniter(count: int) -> object:
        rule = croniter(cron, NAIVE_AFTER)
        return [rule.get_next(datetime) for _ in range(count)]

    return {"croniter": by_croniter, "cronsim": lambda count: list(islice(CronSim(cron, NAIVE_AFTER), count))}


def _rrule_libraries(rule: str) -> Libraries:
    if "SECONDLY" in rule:
        return {}  # dateutil steps through ten years of seconds, which takes minutes
    try:
        parsed = rrulestr(rule, dtstart=NAIVE_START)
    except ValueError:
        return {}
    return {"dateutil": lambda count: list(islice(parsed.xafter(NAIVE_AFTER), count))}
