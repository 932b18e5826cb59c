"""preview_1000: 1,000 different rules through the batch path of `scheduler preview`, ten instants each, caches cold."""

import json
import time
from collections.abc import Iterator

from benchmarks.figures import Result, result, spread
from scheduler_domain.entrypoints.cli.preview_batch import answer_requests
from tests.unit.triggers.hostile import CACHES

REQUESTS = 1_000
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "UTC")


def run(full: bool) -> Iterator[Result]:
    requests = [json.dumps(_request(number)) for number in range(REQUESTS)]
    for _ in range(5 if full else 1):
        for cached in CACHES:
            cached.cache_clear()
        each = []
        started = time.perf_counter()
        for request in requests:
            began = time.perf_counter()
            next(answer_requests([request]))
            each.append((time.perf_counter() - began) * 1e3)
        elapsed = time.perf_counter() - started
        yield result("preview_1000", REQUESTS, {"count": 10}, per_s=round(REQUESTS / elapsed), **spread(each))


def _request(number: int) -> dict[str, object]:
    minute, hour, day = number % 60, number // 60 % 24, number % 28 + 1
    triggers: tuple[dict[str, object], ...] = (
        {"type": "CRON", "cron": f"{minute} {hour} * * *"},
        {"type": "CRON", "cron": f"{minute} {hour} {day} * MON-FRI"},
        {"type": "RRULE", "rrule": f"FREQ=MONTHLY;BYMONTHDAY={day};BYHOUR={hour}", "dtstart": "2016-01-04T09:00:00"},
        {"type": "RRULE", "rrule": f"FREQ=WEEKLY;INTERVAL={day};BYDAY=MO,FR", "dtstart": "2016-01-04T09:00:00"},
        {"type": "FIXED_DELAY", "delaySec": 60 + number},
    )
    return {
        "id": number,
        "tz": ZONES[number % len(ZONES)],
        "after": "2026-06-01T12:34:56Z",
        "count": 10,
        "trigger": triggers[number % len(triggers)],
    }
