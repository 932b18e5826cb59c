"""birthday_peak: a million birthdays stored, and the moment that many of them share.

One tenant has a million yearly schedules, as instances of a template are. 2,700 of them fall on one instant (nine
o'clock in one zone on an ordinary day), then 100,000 (a day that everybody was registered with). Nothing is prepared:
the dispatcher plans them out of the million within its lookahead, claims, sends and records them.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import ceil

import asyncpg
import msgspec

from benchmarks.figures import Result, result, spread
from benchmarks.herd import prove, until_drained
from benchmarks.population import CREATED_AT, connect
from benchmarks.stage import Running, Stage, dispatchers, stage
from scheduler_domain.domain.planning import PlanningRule
from scheduler_domain.domain.schedule import RruleTrigger, ScheduleDefinition
from scheduler_domain.domain.target import EventTarget
from scheduler_domain.domain.triggers import tzdata_version

STORED = 1_000_000
PEAKS = (2_700, 100_000)
_AHEAD = timedelta(seconds=75)
_JUST_BEFORE = timedelta(seconds=0.3)
_ENDS_WITHIN_SEC = 120.0

_STORE = """
INSERT INTO schedule (tenant_id, id, name, trigger_type, target_kind, definition, created_at, updated_at, created_by)
SELECT 'people', lpad(to_hex(n), 32, '0')::uuid, 'birthday', 'RRULE', 'EVENT', $3::json, $4, $4, 'b'
FROM generate_series($1::bigint, $2::bigint) AS n
"""
_PLACE = """
INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at, next_fire_at, tzdata)
SELECT 'people', lpad(to_hex(n), 32, '0')::uuid, 1, $3::json, $4, $5::timestamptz, $6
FROM generate_series($1::bigint, $2::bigint) AS n
"""


def run(_full: bool) -> Iterator[Result]:
    with stage() as own:
        yield from asyncio.run(_peaks(own))


async def _peaks(own: Stage) -> list[Result]:
    connection = await connect(own.postgres_url)
    half_a_year_on = datetime.now(UTC) + timedelta(days=180)
    await _store(connection, 1, STORED, half_a_year_on)
    await connection.execute("VACUUM ANALYZE schedule, schedule_cursor")
    await connection.execute("CHECKPOINT")
    results, fired_before = [], 0
    with dispatchers(own) as (dispatcher,):
        for size in PEAKS:
            first = STORED + fired_before + 1
            results.append(await _peak(own, connection, dispatcher, first, size))
            fired_before += size
    await prove(own, connection, fired_before)
    await connection.close()
    return results


async def _peak(own: Stage, connection: asyncpg.Connection, dispatcher: Running, first: int, size: int) -> Result:
    at = datetime.fromtimestamp(ceil((datetime.now(UTC) + _AHEAD).timestamp()), UTC)
    await _store(connection, first, first + size - 1, at)
    await _until(at - _JUST_BEFORE)
    planned = await connection.fetchval("SELECT count(*) FROM due_queue WHERE due_at = $1", at)
    if planned != size:
        raise RuntimeError(f"{planned} of {size} were planned by their instant")
    spent = own.processor_time(dispatcher)
    await _until(at)
    recorded_at = await until_drained(connection, _ENDS_WITHIN_SEC)
    processor = spent.microseconds_per_item(size)
    rows = await connection.fetch("SELECT fired_at, ended_at FROM ledger WHERE due_at = $1", at)
    return result(
        "birthday_peak",
        size,
        {**await own.settings(connection), "dispatchers": 1, "stored": STORED, "tenants": 1},
        per_s=round(size / (recorded_at - at).total_seconds()),
        **spread([(row["fired_at"] - at).total_seconds() * 1000 for row in rows]),
        cpu_us=processor,
        acknowledged_s=round(max((row["ended_at"] - at).total_seconds() for row in rows), 3),
        recorded_s=round((recorded_at - at).total_seconds(), 3),
    )


async def _store(connection: asyncpg.Connection, first: int, last: int, at: datetime) -> None:
    """Store the schedules numbered so, each yearly at this instant."""
    birthday = _birthday(at)
    await connection.execute(_STORE, first, last, _json(birthday), CREATED_AT)
    rule = _json(PlanningRule.of(birthday))
    await connection.execute(_PLACE, first, last, rule, CREATED_AT, at, tzdata_version())


def _birthday(at: datetime) -> ScheduleDefinition:
    rule = (
        f"FREQ=YEARLY;BYMONTH={at.month};BYMONTHDAY={at.day};BYHOUR={at.hour};BYMINUTE={at.minute};BYSECOND={at.second}"
    )
    return ScheduleDefinition(
        name="birthday",
        tz="UTC",
        trigger=RruleTrigger(rule),
        target=EventTarget("birthday"),
        payload={"message": "Hey, it's your birthday"},
    )


async def _until(at: datetime) -> None:
    await asyncio.sleep(max((at - datetime.now(UTC)).total_seconds(), 0))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
