"""Herds that are planned well ahead of their instant, so that dispatchers hold them when it comes.

herd_event_100k: 100,000 occurrences of one instant; seconds from it to the last acknowledgement and the last record.
memory: what a dispatcher holds in memory just before that instant, and what it needs when idle.
lateness_neighbour: one tenant has 100,000 at an instant, another 100; how late the other's are.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.figures import Result, result, spread
from benchmarks.herd import prove, until_drained
from benchmarks.population import Named, connect, definition, make_due, names, store, yearly
from benchmarks.processor_time import resident_mebibytes
from benchmarks.stage import Running, Stage, dispatchers, stage

SIZE, TENANTS = 100_000, 100
NEIGHBOURS = 100
_AHEAD = timedelta(seconds=25)
_JUST_BEFORE = timedelta(seconds=0.3)
_ENDS_WITHIN_SEC = 120.0


def event_100k(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_herd(own))


def memory(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_memory(own))


def neighbour(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_neighbour(own))


@dataclass(frozen=True, slots=True)
class _Planned:
    """A herd that is in the queue, and the dispatcher that will fire it."""

    connection: asyncpg.Connection
    dispatcher: Running
    at: datetime

    async def until(self, at: datetime) -> None:
        await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0))


@asynccontextmanager
async def _planned(own: Stage, named: Sequence[Named]) -> AsyncIterator[_Planned]:
    connection = await connect(own.postgres_url)
    await store(connection, named, [definition(yearly())] * len(named), [None] * len(named))
    await connection.execute("VACUUM ANALYZE schedule, schedule_cursor")
    with dispatchers(own) as (dispatcher,):
        at = datetime.now(UTC) + _AHEAD
        await make_due(connection, named, at)
        yield _Planned(connection, dispatcher, at)
    await connection.close()


async def _herd(own: Stage) -> Result:
    named = names(SIZE, TENANTS)
    async with _planned(own, named) as herd:
        await herd.until(herd.at - _JUST_BEFORE)
        spent = own.processor_time(herd.dispatcher)
        await herd.until(herd.at)
        recorded_at = await until_drained(herd.connection, _ENDS_WITHIN_SEC)
        processor = spent.microseconds_per_item(SIZE)
        rows = await herd.connection.fetch("SELECT fired_at, ended_at FROM ledger WHERE status = 'COMPLETED'")
        await prove(own, herd.connection, SIZE)
        settings = await own.settings(herd.connection)
    recorded = (recorded_at - herd.at).total_seconds()
    return result(
        "herd_event_100k",
        SIZE,
        {**settings, "dispatchers": 1, "schedules": SIZE, "tenants": TENANTS, "planned_ahead_s": _AHEAD.seconds},
        per_s=round(SIZE / recorded),
        **spread([(row["fired_at"] - herd.at).total_seconds() * 1000 for row in rows]),
        cpu_us=processor,
        acknowledged_s=round(max((row["ended_at"] - herd.at).total_seconds() for row in rows), 3),
        recorded_s=round(recorded, 3),
    )


async def _memory(own: Stage) -> Result:
    named = names(SIZE, TENANTS)
    async with _planned(own, named) as herd:
        idle = resident_mebibytes(herd.dispatcher.pid)
        await herd.until(herd.at - _JUST_BEFORE)
        held = resident_mebibytes(herd.dispatcher.pid)
        leased = await herd.connection.fetchval("SELECT count(*) FROM due_queue WHERE lease_until > now()")
        await until_drained(herd.connection, _ENDS_WITHIN_SEC)
        after = resident_mebibytes(herd.dispatcher.pid)
    return result("memory", leased, {"dispatchers": 1}, idle_mib=idle, held_mib=held, after_mib=after)


async def _neighbour(own: Stage) -> Result:
    crowd, quiet = names(SIZE, tenants=1), [("neighbour", id_) for _, id_ in names(NEIGHBOURS, tenants=1)]
    async with _planned(own, [*crowd, *quiet]) as herd:
        await herd.until(herd.at)
        await until_drained(herd.connection, _ENDS_WITHIN_SEC)
        rows = await herd.connection.fetch("SELECT tenant_id, fired_at FROM ledger WHERE status = 'COMPLETED'")
        settings = await own.settings(herd.connection)
    late = {
        tenant: [(row["fired_at"] - herd.at).total_seconds() * 1000 for row in rows if row["tenant_id"] == tenant]
        for tenant in ("neighbour", crowd[0][0])
    }
    return result(
        "lateness_neighbour",
        NEIGHBOURS,
        {**settings, "dispatchers": 1, "crowd": SIZE},
        **spread(late["neighbour"]),
        **spread(late[crowd[0][0]], "crowd_"),
    )
