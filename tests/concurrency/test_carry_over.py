"""What an edit does to occurrences that are queued already: all go by the new revision, and none is lost by it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.statements import statement
from tests.support.stored import store_due, store_schedules

TENANT = "acme"
NEW_REVISION = 2


@pytest.fixture
async def queue(database: str) -> AsyncIterator[PostgresDueQueue]:
    pool = await open_dispatch_pool(database, 1)
    yield PostgresDueQueue(pool, dispatcher_id=1)
    await pool.close()


async def carried_over(connection: asyncpg.Connection, queue: PostgresDueQueue, due_in: timedelta) -> asyncpg.Record:
    """Hold an occurrence, edit its schedule, and return its row."""
    now = datetime.now(UTC)
    [schedule] = await store_schedules(connection, TENANT)
    await store_due(connection, TENANT, [schedule], now + due_in)
    assert await queue.claim(1, timedelta(minutes=1), None)
    await connection.execute(statement("carry_over_occurrences"), TENANT, schedule, 1, NEW_REVISION, now, [])
    return await connection.fetchrow("SELECT revision, lease_token, lease_until > now() AS is_held FROM due_queue")


async def test_what_is_held_and_due_stays_with_its_holder_and_is_claimable_after_it(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    row = await carried_over(connection, queue, -timedelta(seconds=1))
    assert (row["revision"], row["lease_token"], row["is_held"]) == (NEW_REVISION, 1, True)


async def test_what_is_held_ahead_is_taken_back(connection: asyncpg.Connection, queue: PostgresDueQueue) -> None:
    row = await carried_over(connection, queue, timedelta(seconds=30))
    assert (row["revision"], row["lease_token"], row["is_held"]) == (NEW_REVISION, 2, False)
