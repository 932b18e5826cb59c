"""recovery: everything was down for a day, and 100,000 instants of schedules with FIRE_ALL were missed.

A dispatcher starts. How fast is the past caught up, and how late is what falls due meanwhile? Live work is a hundred
fixed-delay occurrences a second of another tenant, measured from five seconds after the start until all is caught up.
Those that were planned too late to be delivered at all are `live_skipped`.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.figures import Result, result, spread
from benchmarks.population import connect, definition, names, store
from benchmarks.stage import Stage, dispatchers, stage
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, Misfire

MISSED, HOURS = 100_000, 24
TENANTS = 100
LIVE_PER_SECOND, PERIOD_SEC = 100, 10
_SETTLING = timedelta(seconds=5)
_POLL_SEC = 0.25
_ENDS_WITHIN_SEC = 180.0
_DONE = "SELECT count(*) FROM ledger WHERE tenant_id <> 'live' AND status = 'COMPLETED'"


def run(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_recover(own))


async def _recover(own: Stage) -> Result:
    connection = await connect(own.postgres_url)
    down_until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    schedules = -(-MISSED // HOURS)
    hourly = definition(CronTrigger("0 * * * *"), misfire=Misfire("FIRE_ALL", 2 * 86_400))
    first_missed = down_until - timedelta(hours=HOURS - 1)
    await store(connection, names(schedules, TENANTS), [hourly] * schedules, [first_missed] * schedules)
    live = LIVE_PER_SECOND * PERIOD_SEC
    begins = datetime.now(UTC) + timedelta(seconds=4)
    firsts = [begins + timedelta(seconds=PERIOD_SEC) * number / live for number in range(live)]
    rules = [definition(FixedDelayTrigger(PERIOD_SEC, "SCHEDULE"), start_at=first) for first in firsts]
    await store(connection, [("live", id_) for _, id_ in names(live, tenants=1)], rules, firsts)
    await connection.execute("VACUUM ANALYZE")
    expected = schedules * HOURS
    with dispatchers(own) as running:
        started_at = datetime.now(UTC)
        spent = own.processor_time(*running)
        await _until_caught_up(connection, expected)
        caught_up_at = datetime.now(UTC)
        processor = spent.microseconds_per_item(expected)
    rows = await connection.fetch(
        "SELECT due_at, fired_at FROM ledger WHERE tenant_id = 'live' AND due_at BETWEEN $1 AND $2",
        started_at + _SETTLING,
        caught_up_at - timedelta(seconds=1),
    )
    settings = await own.settings(connection)
    await connection.close()
    seconds = (caught_up_at - started_at).total_seconds()
    return result(
        "recovery",
        expected,
        {**settings, "hours_down": HOURS, "schedules": schedules, "live_per_s": LIVE_PER_SECOND},
        per_s=round(expected / seconds),
        cpu_us=processor,
        caught_up_s=round(seconds, 1),
        live=len(rows),
        live_skipped=sum(1 for _, fired in rows if fired is None),
        **spread([(fired - due).total_seconds() * 1000 for due, fired in rows if fired is not None], "live_"),
    )


async def _until_caught_up(connection: asyncpg.Connection, expected: int) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ENDS_WITHIN_SEC
    done = 0
    while done < expected:
        if loop.time() > deadline:
            raise RuntimeError(f"{done} of {expected} were caught up after {_ENDS_WITHIN_SEC:.0f} s")
        await asyncio.sleep(_POLL_SEC)
        done = await connection.fetchval(_DONE)
