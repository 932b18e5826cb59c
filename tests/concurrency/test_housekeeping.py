"""Housekeeping: pauses that named their end are lifted, once, and from that end on."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.domain.schedule import OneShotTrigger
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.system_clock import SystemClock
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition, store_schedules

TENANT = "acme"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 3, hash_joins=True)
    yield opened
    await opened.close()


@pytest.fixture
def housekeeping(pool: asyncpg.Pool) -> Housekeeping:
    return Housekeeping(pool, SystemClock(), PrometheusMeasurements(CollectorRegistry()))


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
