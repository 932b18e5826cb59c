"""materialise and scale_schedules: what planning costs, and whether it grows with what is stored.

materialise: schedules a second through the planner's own use case and statements, in one process beside PostgreSQL,
each with one instant inside the lookahead and about a thousand different rules among them.
scale_schedules: the plans of the three statements that do the work, with few and many schedules stored: looking for
cursors, moving them on and claiming, milliseconds and buffers of one call for 1,000 rows.
"""

import asyncio
import itertools
import json
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import uvloop

from benchmarks.figures import Result, median, result
from benchmarks.population import CREATED_AT, connect, definition, make_due, names, store
from benchmarks.processor_time import ProcessorTime
from benchmarks.stage import Stage, stage
from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.planning import PlanningRule, first_cursor, plan
from scheduler_domain.domain.schedule import CronTrigger
from scheduler_domain.infra.postgres.cursors import PostgresCursors, plan_columns
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements

SIZE, TENANTS = 20_000, 100
DUE = 20_000
_LOOKAHEAD = timedelta(seconds=60)
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "Australia/Lord_Howe", "UTC")
_ROUNDS = 15
_ROWS_PER_CALL = 1_000


class Leading:
    """Leadership of the only planner there is."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        yield True

    async def resign(self) -> None: ...


def materialise(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield uvloop.run(_materialise(own))


def scale(full: bool) -> Iterator[Result]:
    for size in (10_000, 1_000_000, *((10_000_000,) if full else ())):
        with stage() as own:
            yield asyncio.run(_scale(own, size))


async def _materialise(own: Stage) -> Result:
    connection = await connect(own.postgres_url)
    await _store_minutely(connection)
    pool = await open_dispatch_pool(own.postgres_url, 2, hash_joins=True)
    clock = DatabaseClock()
    tags = StartTags()
    planner = MaterialiseOccurrences(
        PostgresCursors(pool),
        Leading(),
        clock,
        PrometheusMeasurements(),
        UNTRACED,
        _LOOKAHEAD,
        FollowTzdata(PostgresZoneMoves(pool, clock), clock, tags),
        tags,
    )
    spent = ProcessorTime({"python": [os.getpid()], "postgres": [own.servers.postgres.pid]})
    began = time.perf_counter()
    while await planner.step():
        pass
    seconds = time.perf_counter() - began
    processor = spent.microseconds_per_item(SIZE)
    occurrences = await connection.fetchval("SELECT count(*) FROM due_queue")
    settings = await own.settings(connection)
    await pool.close()
    await connection.close()
    if occurrences < SIZE:
        raise RuntimeError(f"{occurrences} occurrences of {SIZE} schedules were planned")
    settings = {**settings, "rules": 60 * len(_ZONES), "occurrences": occurrences}
    return result("materialise", SIZE, settings, per_s=round(SIZE / seconds), cpu_us=processor)


async def _store_minutely(connection: asyncpg.Connection) -> None:
    """Store schedules that fire once a minute, each at one of 60 seconds, seen from one of several zones."""
    kinds = [
        definition(CronTrigger(f"{second} * * * * *"), tz=zone) for second, zone in itertools.product(range(60), _ZONES)
    ]
    named, now = names(SIZE, TENANTS), datetime.now(UTC)
    firsts = [first_cursor("t", named[0][1], 1, PlanningRule.of(kind), CREATED_AT, now).next_fire_at for kind in kinds]
    chosen = [number % len(kinds) for number in range(SIZE)]
    await store(connection, named, [kinds[number] for number in chosen], [firsts[number] for number in chosen])
    await connection.execute("VACUUM ANALYZE schedule, schedule_cursor")


_FILL_SCHEDULE = """
INSERT INTO schedule (tenant_id, id, name, trigger_type, target_kind, definition, created_at, updated_at, created_by)
SELECT 'tenant-' || n % 1000, lpad(to_hex(n), 32, '0')::uuid, 'stored', 'CRON', 'EVENT', $2::json, $3, $3, 'b'
FROM generate_series(1, $1::bigint) AS n
"""
_FILL_CURSOR = """
INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at, next_fire_at)
SELECT tenant_id, id, 1, $1::json, $2, $3::timestamptz + (random() * 86400 + 60) * interval '1 second' FROM schedule
"""


async def _scale(own: Stage, size: int) -> Result:
    """Store `size` schedules that fire some time within a day, then 20,000 that are to be planned and claimed now."""
    connection = await connect(own.postgres_url)
    stored, now = definition(CronTrigger("0 9 * * *")), datetime.now(UTC)
    rule = json.dumps({"trigger": {"type": "CRON", "cron": "0 9 * * *"}})
    await connection.execute(_FILL_SCHEDULE, size, msgspec.json.encode(stored).decode(), CREATED_AT)
    await connection.execute(_FILL_CURSOR, rule, CREATED_AT, now)
    named = names(DUE, TENANTS)
    due = definition(CronTrigger("* * * * *"))
    first = first_cursor("t", named[0][1], 1, PlanningRule.of(due), CREATED_AT, now).next_fire_at
    await store(connection, named, [due] * DUE, [first] * DUE)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    pool = await open_dispatch_pool(own.postgres_url, 1)
    look = await _explained(pool, "cursors_due", now, now + _LOOKAHEAD, _ROWS_PER_CALL)
    planning_pool = await open_dispatch_pool(own.postgres_url, 1, hash_joins=True)
    moves = await _moves(planning_pool, now)
    move = await _explained(planning_pool, "materialise_occurrences", *moves, vacuumed_by=connection)
    await planning_pool.close()
    await make_due(connection, named, now)
    await connection.execute("VACUUM ANALYZE due_queue")
    await connection.execute("CHECKPOINT")
    claim = await _explained(
        pool,
        "claim_occurrences",
        _ROWS_PER_CALL,
        timedelta(seconds=1),
        timedelta(seconds=15),
        1,
        -math.inf,
    )
    await pool.close()
    settings = await own.settings(connection)
    await connection.close()
    settings = {**settings, "due": DUE, "rows_per_call": _ROWS_PER_CALL}
    return result("scale_schedules", size, settings, **look, **move, **claim)


async def _moves(pool: asyncpg.Pool, now: datetime) -> tuple[object, ...]:
    """Return what moves the first cursors on, as the planner would write it."""
    cursors = await PostgresCursors(pool).due_between(now, now + _LOOKAHEAD, _ROWS_PER_CALL)
    tags = StartTags()
    plans = [plan(cursor, now, now + _LOOKAHEAD, tags) for cursor in cursors]
    return plan_columns(sorted(plans, key=lambda each: (each.before.tenant_id, each.before.schedule_id)))


async def _explained(
    pool: asyncpg.Pool, name: str, *arguments: object, vacuumed_by: asyncpg.Connection | None = None
) -> dict[str, float]:
    """Run a statement a few times under EXPLAIN, undone each time; return its median milliseconds and buffers.

    `vacuumed_by` clears away the rows of each undone round. Left lying, those of a statement that inserts lengthen the
    files, which costs the kernel by how much memory it has used before, and says nothing of the tables.
    """
    milliseconds, buffers = [], []
    async with pool.acquire() as connection:
        for _ in range(_ROUNDS):
            undone = connection.transaction()
            await undone.start()
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement(name)}", *arguments)
            await undone.rollback()
            if vacuumed_by:
                await vacuumed_by.execute("VACUUM (TRUNCATE false, INDEX_CLEANUP on) schedule_cursor, due_queue")
            explained: dict[str, Any] = json.loads(text)[0]
            milliseconds.append(explained["Execution Time"])
            buffers.append(_buffers(explained["Plan"]))
    step = name.partition("_")[0]
    return {f"{step}_ms": round(median(milliseconds), 2), f"{step}_buffers": median(buffers)}


def _buffers(root: dict[str, Any]) -> int:
    """Count the buffers of a whole plan.

    A node counts what it pulled from those below it. A subplan of WITH stands apart, though, and is counted by itself
    and again by whoever pulls from it.
    """
    total, nodes = _own_buffers(root), [root]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Subplan Name", "").startswith("CTE "):
            total += _own_buffers(node)
        if node["Node Type"] == "CTE Scan":
            total -= _own_buffers(node)
    return total


def _own_buffers(node: dict[str, Any]) -> int:
    buffers: int = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    return buffers
