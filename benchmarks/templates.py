"""templates_import: people a second that one `scheduler serve` takes from one NDJSON body, and what it costs meanwhile.

A dispatcher runs beside it and fires ten schedules a second, whose lateness is measured over the time of the import: a
tenant with a million people must not delay another. template_upsert: one person after another, with those stored.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import asyncpg
import httpx

from benchmarks.api import token
from benchmarks.figures import Result, result, spread
from benchmarks.population import connect, definition, names, store
from benchmarks.processor_time import resident_mebibytes
from benchmarks.stage import Running, Stage, api, dispatchers, stage
from scheduler_domain.domain.schedule import FixedDelayTrigger

PEOPLE, FULL_PEOPLE = 100_000, 1_000_000
UPSERTS = 2_000
_LINES_IN_A_CHUNK = 500
_STEADY, _PERIOD_SEC = 100, 10
_WARM_UP = timedelta(seconds=5)
_MEMORY_EVERY_SEC = 0.5
_TENANT = "tenant-0000"
_INSTANCES = "/templates/birthday/instances"
_ZONES = ("Europe/London", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland")
_BORN = date(1950, 1, 1)


def imported(full: bool) -> Iterator[Result]:
    people = FULL_PEOPLE if full else PEOPLE
    with stage() as own, _running(own) as (server, _):
        yield asyncio.run(_import(own, server, people))


def upsert(full: bool) -> Iterator[Result]:
    people = FULL_PEOPLE if full else PEOPLE
    with stage() as own, _running(own) as (server, dispatcher):
        yield asyncio.run(_upsert(own, server, dispatcher, people))


@contextmanager
def _running(own: Stage) -> Iterator[tuple[Running, Running]]:
    with api(own) as server, dispatchers(own) as (dispatcher,):
        yield server, dispatcher


async def _import(own: Stage, server: Running, people: int) -> Result:
    connection = await connect(own.postgres_url)
    await _store_steady(connection)
    await asyncio.sleep(_WARM_UP.total_seconds())
    spent = own.processor_time(server)
    began, clock = datetime.now(UTC), time.perf_counter()
    memory = asyncio.create_task(_most_memory(server.pid))
    await _sent(own, server, people)
    elapsed = time.perf_counter() - clock
    ended = datetime.now(UTC)
    processor = spent.microseconds_per_item(people)
    memory.cancel()
    await asyncio.sleep(1)  # the last outcomes are written in batches
    late = await _lateness(connection, began, ended)
    settings = await own.settings(connection)
    await connection.close()
    return result(
        "templates_import",
        people,
        {**settings, "dispatchers": 1, "zones": len(_ZONES), "steady_per_s": _STEADY // _PERIOD_SEC},
        per_s=round(people / elapsed),
        seconds=round(elapsed, 1),
        api_mib=await memory,
        **spread(late, "steady_"),
        steady_n=len(late),
        cpu_us=processor,
    )


async def _upsert(own: Stage, server: Running, dispatcher: Running, people: int) -> Result:
    await _sent(own, server, people)
    spent = own.processor_time(server, dispatcher)
    milliseconds: list[float] = []
    async with _client(own, server) as client:
        for number in range(people, people + UPSERTS):
            # Every other one is of somebody who is stored, and has moved since.
            known = number % 2 == 0
            key, body = _person(number - people if known else number, zone_offset=1 if known else 0)
            began = time.perf_counter()
            answer = await client.put(f"{_INSTANCES}/{key}", json={"parameters": body})
            milliseconds.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
    processor = spent.microseconds_per_item(UPSERTS)
    settings = {"stored": people, "dispatchers": 1, "connections": 1}
    return result("template_upsert", UPSERTS, settings, **spread(milliseconds), cpu_us=processor)


async def _sent(own: Stage, server: Running, people: int) -> None:
    """Send all of them in one request and make sure that each was created."""
    headers = {"Content-Type": "application/x-ndjson"}
    async with _client(own, server) as client:
        answer = await client.post(
            f"{_INSTANCES}:batch?results=failed", content=_chunks(people), headers=headers, timeout=None
        )
    answer.raise_for_status()
    last = json.loads(answer.text.splitlines()[-1])
    if last["summary"]["created"] != people:
        raise RuntimeError(f"not everybody was created: {last}")


def _client(own: Stage, server: Running) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token(own)}", "X-Tenant-Id": _TENANT}
    return httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, timeout=30)


async def _chunks(people: int) -> AsyncIterator[bytes]:
    for first in range(0, people, _LINES_IN_A_CHUNK):
        yield b"".join(map(_line, range(first, min(first + _LINES_IN_A_CHUNK, people))))


def _line(number: int) -> bytes:
    key, parameters = _person(number)
    return json.dumps({"key": key, "parameters": parameters}).encode() + b"\n"


def _person(number: int, zone_offset: int = 0) -> tuple[str, dict[str, str]]:
    """Return a person's key and parameters, birthdays and zones dealt out evenly."""
    return f"c-{number:07}", {
        "firstName": f"First{number}",
        "lastName": f"Last{number % 5_000}",
        "dateOfBirth": (_BORN + timedelta(days=number % 20_000)).isoformat(),
        "tz": _ZONES[(number + zone_offset) % len(_ZONES)],
    }


async def _most_memory(pid: int) -> float:
    """Return the most memory that the process had, in MiB, up to the moment this is cancelled."""
    most = 0.0
    try:
        while True:
            most = max(most, resident_mebibytes(pid))
            await asyncio.sleep(_MEMORY_EVERY_SEC)
    except asyncio.CancelledError:
        return most


async def _store_steady(connection: asyncpg.Connection) -> None:
    begins = datetime.now(UTC) + timedelta(seconds=1)
    first = [begins + timedelta(seconds=_PERIOD_SEC) * number / _STEADY for number in range(_STEADY)]
    trigger = FixedDelayTrigger(_PERIOD_SEC, "SCHEDULE")
    steady = [("neighbour", id_) for _, id_ in names(_STEADY, tenants=1)]
    await store(connection, steady, [definition(trigger, start_at=at) for at in first], first)


async def _lateness(connection: asyncpg.Connection, began: datetime, ended: datetime) -> list[float]:
    """Return how late each of the neighbour's occurrences was fired, in milliseconds; all of them must have been."""
    rows = await connection.fetch(
        "SELECT due_at, fired_at FROM ledger WHERE tenant_id = 'neighbour' AND due_at >= $1 AND due_at < $2"
        " AND status = 'COMPLETED'",
        began,
        ended,
    )
    expected = int((ended - began).total_seconds() * _STEADY / _PERIOD_SEC)
    if len(rows) < expected - 1:
        raise RuntimeError(f"{len(rows)} of {expected} steady occurrences were completed in time")
    return [(fired - due).total_seconds() * 1000 for due, fired in rows]
