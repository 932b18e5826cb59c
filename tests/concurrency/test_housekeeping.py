"""Housekeeping: pauses that named their end are lifted, once, and the ledger forgets by age."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.schedule import OneShotTrigger
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition, store_schedules

TENANT = "acme"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 3, hash_joins=True)
    yield opened
    await opened.close()


class MovedClock(DatabaseClock):
    """The machine's clock, moved by hand."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__()
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


def keeping(pool: asyncpg.Pool, retention: timedelta | None, *, ahead: timedelta) -> Housekeeping:
    return Housekeeping(pool, MovedClock(ahead), PrometheusMeasurements(CollectorRegistry()), retention)


async def months(connection: asyncpg.Connection, parent: str = "ledger") -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relname ~ $1 AND relkind = 'r' ORDER BY 1", f"^{parent}_[0-9]{{4}}_"
    )
    return [row["relname"][-7:] for row in rows]


async def store_ended(connection: asyncpg.Connection, at: datetime, ended_at: datetime | None = None) -> UUID:
    """Put an occurrence of this instant, with an earlier attempt, into the history."""
    [schedule] = await store_schedules(connection, TENANT)
    id_ = occurrence_id(TENANT, schedule, "SCHEDULED", at.isoformat(), int(at.timestamp() * 1000))
    await connection.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,"
        " fired_at, ended_at) VALUES ($1, $2, $3, 'SCHEDULED', 1, $4, $4, 'COMPLETED', 2, $5, $5)",
        TENANT,
        id_,
        schedule,
        at,
        ended_at or at,
    )
    await connection.execute(
        "INSERT INTO attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome)"
        " VALUES ($1, $2, 1, $3, 5, 'FAILED')",
        TENANT,
        id_,
        at,
    )
    await connection.execute("DELETE FROM schedule")
    return id_


async def kept(connection: asyncpg.Connection) -> set[UUID]:
    ended = {row["id"] for row in await connection.fetch("SELECT id FROM ledger")}
    tried = {row["occurrence_id"] for row in await connection.fetch("SELECT occurrence_id FROM attempt")}
    assert ended == tried
    return ended


@pytest.fixture
def housekeeping(pool: asyncpg.Pool) -> Housekeeping:
    return Housekeeping(pool, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()))


async def pause_until(connection: asyncpg.Connection, resume_at: datetime) -> None:
    await connection.execute(
        "UPDATE schedule SET state = 'PAUSED', state_reason = 'tests', resume_at = $1, paused_at = now()", resume_at
    )


async def state(connection: asyncpg.Connection) -> asyncpg.Record:
    return await connection.fetchrow(
        "SELECT s.state, s.version, s.resume_at, c.next_fire_at FROM schedule s"
        " JOIN schedule_cursor c ON c.schedule_id = s.id"
    )


async def test_a_pause_is_lifted_at_its_end_and_planning_goes_on_from_now(
    connection: asyncpg.Connection, housekeeping: Housekeeping
) -> None:
    await store_schedules(connection, TENANT)
    await pause_until(connection, datetime.now(UTC) - timedelta(seconds=1))
    await asyncio.gather(housekeeping.step(), housekeeping.step())
    after = await state(connection)
    assert (after["state"], after["version"], after["resume_at"]) == ("ACTIVE", 2, None)
    assert timedelta(0) < after["next_fire_at"] - datetime.now(UTC) <= timedelta(minutes=1)


async def test_a_pause_goes_on_until_its_end(connection: asyncpg.Connection, housekeeping: Housekeeping) -> None:
    await store_schedules(connection, TENANT)
    await pause_until(connection, datetime.now(UTC) + timedelta(minutes=1))
    await housekeeping.step()
    after = await state(connection)
    assert (after["state"], after["next_fire_at"]) == ("PAUSED", None)


async def test_a_schedule_with_nothing_left_is_completed(
    connection: asyncpg.Connection, housekeeping: Housekeeping
) -> None:
    past = OneShotTrigger((datetime.now(UTC) - timedelta(minutes=1)).isoformat())
    await store_schedules(connection, TENANT, of=definition(past))
    await pause_until(connection, datetime.now(UTC) - timedelta(seconds=1))
    await housekeeping.step()
    assert (await state(connection))["state"] == "COMPLETED"


async def test_a_month_is_dropped_once_all_of_it_is_older_than_what_is_kept(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    old, recent = await store_ended(connection, now), await store_ended(connection, now + timedelta(days=62))
    retention = timedelta(days=30)
    await keeping(pool, retention, ahead=timedelta(days=29)).step()
    assert await kept(connection) == {old, recent}
    await keeping(pool, retention, ahead=timedelta(days=30 + 31 + 3)).step()
    assert await kept(connection) == {recent}
    assert f"{now:%Y_%m}" not in await months(connection)
    assert await months(connection) == await months(connection, "attempt")


async def test_the_ledger_is_kept_for_ever_where_nothing_else_is_said(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    old = await store_ended(connection, datetime.now(UTC))
    await keeping(pool, None, ahead=timedelta(days=9_000)).step()
    assert await kept(connection) == {old}


async def test_months_that_are_not_kept_are_not_made_again(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    for ahead in (20, 400):
        await keeping(pool, timedelta(days=1), ahead=timedelta(days=ahead)).step()
        found = await months(connection)
        oids = await connection.fetch("SELECT oid FROM pg_class WHERE relname ~ '^(ledger|attempt)_' ORDER BY 1")
        await keeping(pool, timedelta(days=1), ahead=timedelta(days=ahead)).step()
        assert await months(connection) == found
        again = await connection.fetch("SELECT oid FROM pg_class WHERE relname ~ '^(ledger|attempt)_' ORDER BY 1")
        assert again == oids


async def test_what_lies_outside_every_month_is_kept_from_its_end_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    long_ago, now = datetime(2020, 5, 4, tzinfo=UTC), datetime.now(UTC)
    stray = await store_ended(connection, long_ago, ended_at=now)
    await keeping(pool, timedelta(days=30), ahead=timedelta(days=29)).step()
    assert await kept(connection) == {stray}
    await keeping(pool, timedelta(days=30), ahead=timedelta(days=31)).step()
    assert await kept(connection) == set()


async def test_a_month_in_use_is_dropped_at_a_later_sweep_and_nobody_waits_for_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    old = await store_ended(connection, datetime.now(UTC))
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT 1 FROM ledger")
        await keeping(pool, timedelta(days=1), ahead=timedelta(days=50)).step()
        assert await kept_ids(connection) == {old}
    await keeping(pool, timedelta(days=1), ahead=timedelta(days=50)).step()
    assert await kept_ids(connection) == set()


async def kept_ids(connection: asyncpg.Connection) -> set[UUID]:
    return {row["id"] for row in await connection.fetch("SELECT id FROM ledger")}
