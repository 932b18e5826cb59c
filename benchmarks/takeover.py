"""takeover: one of two dispatchers is killed with no chance to say anything, and the other finishes its work.

Fixed-delay schedules fall due at a steady rate and both dispatchers hold what is due within the next seconds. One is
killed. What it held is claimed by the other once the leases have run out. Measured is every occurrence that was due
from a second before the kill on: how long after the kill (or its instant, if that came later) its attempt was made.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.figures import Result, median, result
from benchmarks.lateness import PERIOD_SEC, sleep_until, store_steady
from benchmarks.population import connect
from benchmarks.stage import Stage, dispatchers, stage

PER_SECOND = 200
_BEFORE = timedelta(seconds=10)
_JUST_SENT = timedelta(seconds=1)
_AFTER = timedelta(seconds=10)
_TAKEN_WITHIN_SEC = 60.0
_POLL_SEC = 0.1
_ROUNDS = 3
_LEFT = "SELECT count(*) FROM due_queue WHERE due_at <= $1"
_ATTEMPTS = "SELECT due_at, fired_at FROM ledger WHERE due_at BETWEEN $1 AND $2 AND status = 'COMPLETED'"


def run(full: bool) -> Iterator[Result]:
    with stage() as own:
        yield asyncio.run(_taken_over(own, rounds=5 if full else _ROUNDS))


async def _taken_over(own: Stage, rounds: int) -> Result:
    connection = await connect(own.postgres_url)
    begins = datetime.now(UTC) + timedelta(seconds=5)
    await store_steady(connection, PER_SECOND, begins)
    longest, taken = [], 0
    for _ in range(rounds):
        with dispatchers(own, 2) as running:
            await sleep_until(max(begins, datetime.now(UTC)) + _BEFORE)
            running[0].process.kill()
            waits = await _waits_since(connection, datetime.now(UTC))
        longest.append(max(waits))
        taken += sum(1 for wait in waits if wait > 1)
    settings = await own.settings(connection)
    await connection.close()
    return result(
        "takeover",
        taken,
        {**settings, "dispatchers": 2, "per_s": PER_SECOND, "rounds": rounds, "schedules": PER_SECOND * PERIOD_SEC},
        re_attempted_s=round(median(longest), 2),
        longest_s=round(max(longest), 2),
    )


async def _waits_since(connection: asyncpg.Connection, killed_at: datetime) -> list[float]:
    """Wait until nothing is left of what was due around the kill; return the seconds each attempt came after it."""
    until = killed_at + _AFTER
    await sleep_until(until)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _TAKEN_WITHIN_SEC
    while left := await connection.fetchval(_LEFT, until):
        if loop.time() > deadline:
            raise RuntimeError(f"{left} occurrences were not taken over within {_TAKEN_WITHIN_SEC:.0f} s")
        await asyncio.sleep(_POLL_SEC)
    rows = await connection.fetch(_ATTEMPTS, killed_at - _JUST_SENT, until)
    if len(rows) < PER_SECOND * (_JUST_SENT + _AFTER).total_seconds() - 1:
        raise RuntimeError(f"{len(rows)} occurrences were completed around the kill, fewer than were due")
    return [(fired - max(due, killed_at)).total_seconds() for due, fired in rows]
