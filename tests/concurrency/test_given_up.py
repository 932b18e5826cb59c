"""A schedule whose webhooks all fail for days is disabled, and no other."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.application.ports.due_queue import Ended
from scheduler_domain.domain.retry import GIVEN_UP_AFTER
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from tests.support.stored import store_due, store_schedules

TENANT = "acme"
LONG_AGO = GIVEN_UP_AFTER + timedelta(minutes=1)


@pytest.fixture
async def queue(database: str) -> AsyncIterator[PostgresDueQueue]:
    pool = await open_dispatch_pool(database, 1)
    yield PostgresDueQueue(pool, dispatcher_id=1)
    await pool.close()


@pytest.fixture
async def schedule_id(connection: asyncpg.Connection) -> UUID:
    [stored] = await store_schedules(connection, TENANT, planned_from=datetime.now(UTC))
    await connection.execute("UPDATE scheduler.schedule SET updated_at = now() - interval '30 days'")
    return stored


async def ends(
    connection: asyncpg.Connection,
    queue: PostgresDueQueue,
    schedule_id: UUID,
    status: str = "FAILED",
    reason: str | None = "retries-exhausted",
    target_kind: str = "HTTP",
) -> None:
    await store_due(connection, TENANT, [schedule_id], datetime.now(UTC))
    [claimed] = await queue.claim(1, timedelta(seconds=1), None)
    now = datetime.now(UTC)
    assert await queue.record_ended([Ended(claimed, status, reason, 12, now, now, 3, target_kind, error="no answer")])


async def failing_for(connection: asyncpg.Connection, length: timedelta) -> None:
    await connection.execute("UPDATE scheduler.schedule SET failing_since = now() - $1::interval", length)


async def state(connection: asyncpg.Connection) -> tuple[str, str | None, timedelta | None]:
    return tuple(await connection.fetchrow("SELECT state, state_reason, now() - failing_since FROM scheduler.schedule"))


async def assert_began_just_now(connection: asyncpg.Connection) -> None:
    word, _, length = await state(connection)
    assert word == "ACTIVE"
    assert length is not None
    assert length < timedelta(minutes=1)


async def test_the_first_dead_letter_begins_the_time(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID
) -> None:
    await ends(connection, queue, schedule_id)
    await assert_began_just_now(connection)


async def test_what_fails_for_days_is_disabled_and_says_why(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID
) -> None:
    await failing_for(connection, LONG_AGO)
    await ends(connection, queue, schedule_id)
    assert (await state(connection))[:2] == ("DISABLED", "every webhook failed for 5 days")
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") is None


async def test_it_is_not_before_its_time(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID
) -> None:
    almost = GIVEN_UP_AFTER - timedelta(minutes=1)
    await failing_for(connection, almost)
    await ends(connection, queue, schedule_id)
    word, _, length = await state(connection)
    assert word == "ACTIVE"
    assert length is not None
    assert length >= almost


async def test_a_success_in_between_begins_the_time_anew(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID
) -> None:
    await failing_for(connection, LONG_AGO)
    await ends(connection, queue, schedule_id, "COMPLETED", None)
    await ends(connection, queue, schedule_id)
    await assert_began_just_now(connection)


async def test_a_change_of_the_schedule_begins_the_time_anew(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID
) -> None:
    await failing_for(connection, LONG_AGO)
    await connection.execute("UPDATE scheduler.schedule SET updated_at = now() - interval '1 day'")
    await ends(connection, queue, schedule_id)
    await assert_began_just_now(connection)


@pytest.mark.parametrize(("reason", "target_kind"), [("retries-exhausted", "EVENT"), ("refused", "HTTP")])
async def test_nothing_else_counts(
    connection: asyncpg.Connection, queue: PostgresDueQueue, schedule_id: UUID, reason: str, target_kind: str
) -> None:
    await failing_for(connection, LONG_AGO)
    await ends(connection, queue, schedule_id, reason=reason, target_kind=target_kind)
    assert (await state(connection))[0] == "ACTIVE"
