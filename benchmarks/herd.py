"""herd_event and its kin: many occurrences of as many schedules, all due at one instant.

Cold: the rows are committed at the very instant they are due, with the notification that the API would send, so nothing
was claimed or encoded ahead. The clock starts at that instant and stops when the last row has left the queue for the
ledger. A smaller herd goes first, so that connections, plans and caches are as in a process that has been running.

Each herd is proven afterwards: every occurrence COMPLETED in the ledger, and each stored in the stream exactly once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg

from benchmarks import floor
from benchmarks.figures import Result, median, result, spread
from benchmarks.population import Named, connect, definition, make_due, names, store, yearly
from benchmarks.receiver import Receiver, receiver
from benchmarks.stage import Running, Stage, dispatchers, stage
from benchmarks.stream import connected, stored_ids
from scheduler_domain.domain.schedule import ScheduleDefinition
from scheduler_domain.domain.target import HttpRequest, HttpTarget

SIZE, TENANTS = 20_000, 100
_WARM_UP = 2_000
_ROUNDS = 3
_ENDS_WITHIN_SEC = 60.0
_ROOM_TO_INSERT = timedelta(seconds=3)
# The server looks by itself each 5 ms: to be asked over the network took 2 % of the machine that is measured. The last
# in claim order is looked for first: from the other end each look would wade through what has ended.
_WAIT_UNTIL_DRAINED = """
DO $$ BEGIN
  WHILE (SELECT id FROM due_queue WHERE shard = 0 ORDER BY start_tag DESC LIMIT 1) IS NOT NULL LOOP
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$
"""


def event(full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_herds(own, "herd_event", dispatcher_count=1, rounds=5 if full else _ROUNDS))


def two(full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_herds(own, "herd_two", dispatcher_count=2, rounds=5 if full else _ROUNDS))


def http(full: bool) -> Iterator[Result]:
    """As herd_event, but webhooks to a fast receiver on this machine; the proof is the receiver's."""
    with stage() as own, receiver() as target:
        yield asyncio.run(_http_herds(own, target, rounds=5 if full else _ROUNDS))


@dataclass(frozen=True, slots=True)
class Herd:
    """One herd, drained: seconds from its instant to the last record, and each occurrence's lateness."""

    due_at: datetime
    seconds: float
    late_ms: list[float]

    @property
    def per_second(self) -> float:
        return len(self.late_ms) / self.seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """Herds, the floor before and after each, and the processor time of an item by program, in microseconds."""

    herds: list[Herd]
    floors: list[Result]
    processor: dict[str, float]


async def _herds(own: Stage, name: str, dispatcher_count: int, rounds: int) -> Result:
    connection, named = await _stocked(own, definition(yearly()))
    with dispatchers(own, dispatcher_count) as running:
        await _drain(connection, named[:_WARM_UP])
        measured = await _measured(own, running, connection, named, rounds)
    await prove(own, connection, _WARM_UP + SIZE * rounds)
    settings = {**await own.settings(connection), "dispatchers": dispatcher_count}
    await connection.close()
    return _reported(name, measured, settings)


async def _http_herds(own: Stage, target: Receiver, rounds: int) -> Result:
    request = HttpTarget(HttpRequest(f"{target.url}/benchmark"))
    connection, named = await _stocked(own, definition(yearly(), request))
    with dispatchers(own) as running:
        await _drain(connection, named[:_WARM_UP])
        measured = await _measured(own, running, connection, named, rounds)
    expected = _WARM_UP + SIZE * rounds
    completed = await connection.fetchval("SELECT count(*) FROM ledger WHERE status = 'COMPLETED'")
    seen = target.seen()
    if not completed == seen["keys"] == seen["requests"] == expected:
        raise RuntimeError(f"of {expected} occurrences {completed} were completed; the receiver saw {seen}")
    settings = {**await own.settings(connection), "dispatchers": 1}
    await connection.close()
    return _reported("herd_http", measured, settings)


async def _stocked(own: Stage, what: ScheduleDefinition) -> tuple[asyncpg.Connection, list[Named]]:
    """Store the schedules of the herd; return a connection and their names."""
    connection = await connect(own.postgres_url)
    named = names(SIZE, TENANTS)
    await store(connection, named, [what] * SIZE, [None] * SIZE)
    await connection.execute("VACUUM ANALYZE schedule, schedule_cursor")
    return connection, named


def _reported(name: str, measured: Measured, settings: dict[str, object]) -> Result:
    rates = [herd.per_second for herd in measured.herds]
    floors = [then["per_s"] for then in measured.floors]
    around = [(before + after) / 2 for before, after in pairwise(floors)]
    return result(
        name,
        SIZE,
        {**settings, "schedules": SIZE, "tenants": TENANTS, "warm_up": _WARM_UP},
        per_s=round(median(rates)),
        **spread([late for herd in measured.herds for late in herd.late_ms]),
        cpu_us=measured.processor,
        rounds_per_s=[round(rate) for rate in rates],
        floors_per_s=floors,
        of_floor=round(median([rate / nearby for rate, nearby in zip(rates, around, strict=True)]), 3),
        fsync_per_s=median([then["fsync_per_s"] for then in measured.floors]),
    )


async def _measured(
    own: Stage, running: Sequence[Running], connection: asyncpg.Connection, named: Sequence[Named], rounds: int
) -> Measured:
    """Drain the same schedules again and again; the processor time is that of the drains alone, all of them."""
    herds, floors, totals = [], [await floor.measure(own)], {"python": 0.0, "postgres": 0.0, "nats": 0.0}
    for _ in range(rounds):
        await connection.execute("CHECKPOINT")
        at = await _prepare(connection, named)
        spent = own.processor_time(*running)
        ended_at = await _release(connection, at)
        for program, microseconds in spent.microseconds_per_item(len(named) * rounds).items():
            totals[program] += microseconds
        herds.append(await _herd(connection, at, ended_at))
        floors.append(await floor.measure(own))
    return Measured(herds, floors, {program: round(microseconds, 2) for program, microseconds in totals.items()})


async def _drain(connection: asyncpg.Connection, named: Sequence[Named]) -> None:
    await _release(connection, await _prepare(connection, named))


async def _prepare(connection: asyncpg.Connection, named: Sequence[Named]) -> datetime:
    """Insert a herd without committing it; return its instant, which is still to come."""
    await connection.execute("BEGIN")
    at = datetime.now(UTC) + _ROOM_TO_INSERT
    await make_due(connection, named, at)
    return at


async def _release(connection: asyncpg.Connection, at: datetime) -> datetime:
    """Commit the herd at its instant and wait until none of it is left; return when that was."""
    await connection.execute("SELECT pg_notify('scheduler_due', '')")
    await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0))
    await connection.execute("COMMIT")
    return await until_drained(connection)


async def _herd(connection: asyncpg.Connection, at: datetime, ended_at: datetime) -> Herd:
    rows = await connection.fetch("SELECT fired_at FROM ledger WHERE due_at = $1", at)
    return Herd(at, (ended_at - at).total_seconds(), [(row[0] - at).total_seconds() * 1000 for row in rows])


async def until_drained(connection: asyncpg.Connection, within: float = _ENDS_WITHIN_SEC) -> datetime:
    """Wait until the queue is empty; return when it was seen to be."""
    try:
        await connection.execute(_WAIT_UNTIL_DRAINED, timeout=within)
    except TimeoutError:
        left = await connection.fetchval("SELECT count(*) FROM due_queue")
        raise RuntimeError(f"{left} occurrences are still in the queue after {within:.0f} s") from None
    return datetime.now(UTC)


async def prove(own: Stage, connection: asyncpg.Connection, expected: int) -> None:
    """Raise unless so many occurrences were completed and the stream holds exactly these, once each."""
    completed = {str(row[0]) for row in await connection.fetch("SELECT id FROM ledger WHERE status = 'COMPLETED'")}
    async with connected(own.nats_url) as client:
        seen = await stored_ids(client, expected)
    twice = sum(1 for count in seen.values() if count > 1)
    if len(completed) != expected or seen.keys() != completed or twice:
        raise RuntimeError(
            f"of {expected} occurrences {len(completed)} were completed and {len(seen)} stored, {twice} of them twice"
        )
