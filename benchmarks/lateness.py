"""lateness_100, lateness_1000: how long after its instant an occurrence is fired, at a steady rate.

Fixed-delay schedules whose first instants are spread evenly are planned, claimed, sent and recorded by one dispatcher
process, all at the same time and from the first instant on. Measured are the occurrences that were due in the last 30 s
(the first twelve seconds warm up): the ledger's `fired_at` less `due_at`, and what a JetStream subscriber saw.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.figures import Result, result, spread
from benchmarks.population import connect, definition, names, store
from benchmarks.stage import Stage, dispatchers, stage
from benchmarks.stream import Arrivals, connected
from scheduler_domain.domain.schedule import FixedDelayTrigger

PERIOD_SEC = 10
_WARM_UP = timedelta(seconds=12)
_MEASURED = timedelta(seconds=30)
_TENANTS = 100


def at_100(full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_steady(own, "lateness_100", 100, _MEASURED * (10 if full else 1)))


def at_1000(full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_steady(own, "lateness_1000", 1_000, _MEASURED * (10 if full else 1)))


async def _steady(own: Stage, name: str, per_second: int, length: timedelta) -> Result:
    connection = await connect(own.postgres_url)
    arrivals = Arrivals()
    with dispatchers(own) as running:
        begins = datetime.now(UTC) + timedelta(seconds=5)
        window = (begins + _WARM_UP, begins + _WARM_UP + length)
        await store_steady(connection, per_second, begins)
        await sleep_until(window[0])
        spent = own.processor_time(*running)
        async with connected(own.nats_url) as client, arrivals.of_new(client):
            await sleep_until(window[1])
        processor = spent.microseconds_per_item(round(per_second * length.total_seconds()))
        await asyncio.sleep(1)  # the last outcomes are written in batches
    rows = await connection.fetch(
        "SELECT due_at, fired_at FROM ledger WHERE due_at >= $1 AND due_at < $2 AND status = 'COMPLETED'", *window
    )
    settings = await own.settings(connection)
    await connection.close()
    expected = round(per_second * length.total_seconds())
    if len(rows) != expected:
        raise RuntimeError(f"{len(rows)} of {expected} occurrences were completed in time")
    seen = [late for due, late in arrivals.late_ms if window[0] <= due < window[1]]
    return result(
        name,
        len(rows),
        {**settings, "dispatchers": 1, "schedules": per_second * PERIOD_SEC, "seconds": length.total_seconds()},
        per_s=per_second,
        **spread([(fired - due).total_seconds() * 1000 for due, fired in rows]),
        **spread(seen, "seen_"),
        cpu_us=processor,
    )


async def store_steady(connection: asyncpg.Connection, per_second: int, begins: datetime) -> None:
    """Store schedules of one period, so offset that one is due each 1/per_second."""
    count = per_second * PERIOD_SEC
    first = [begins + timedelta(seconds=PERIOD_SEC) * number / count for number in range(count)]
    trigger = FixedDelayTrigger(PERIOD_SEC, "SCHEDULE")
    await store(connection, names(count, _TENANTS), [definition(trigger, start_at=at) for at in first], first)


async def sleep_until(at: datetime) -> None:
    await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0))
