"""The lock order, schedule before cursor before queue: whoever waits for a schedule has locked nothing of it yet."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.application.ports.zone_moves import CursorKey
from scheduler_domain.domain.planning import Cursor, Plan
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from tests.support.stored import store_due, store_schedules
from tests.support.waiting import eventually

TENANT = "acme"
AHEAD = timedelta(seconds=1)
SOON = timedelta(seconds=30)


async def blocked(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def edited_meanwhile(
    connection: asyncpg.Connection, schedule: UUID, dispatcher_writes: Callable[[], Awaitable[object]]
) -> None:
    """Lock a schedule, let a dispatcher come and wait for it, and lock the rest as an edit does: nobody is ended."""
    async with connection.transaction():
        await connection.execute("SELECT FROM schedule WHERE id = $1 FOR UPDATE", schedule)
        writing = asyncio.ensure_future(dispatcher_writes())
        await eventually(lambda: blocked(connection), within=5)
        assert await connection.fetchrow(statement("hold_schedule"), TENANT, schedule)
        await connection.fetch(statement("hold_occurrences"), TENANT, schedule, 1)
        await connection.execute("UPDATE schedule SET state = 'PAUSED' WHERE id = $1", schedule)
    await writing


async def test_a_planner_that_completes_a_schedule_and_an_edit_of_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_schedules(connection, TENANT, planned_from=datetime.now(UTC))
    cursors = PostgresCursors(pool)
    [cursor] = await cursors.due_between(datetime.now(UTC), datetime.now(UTC) + timedelta(minutes=2), 10)
    await edited_meanwhile(connection, schedule, lambda: cursors.record_plans([nothing_left(cursor)]))
    assert await connection.fetchval("SELECT state FROM schedule") == "PAUSED"


@pytest.mark.parametrize("how", ["last", "chain", "gone"])
async def test_a_recorder_that_moves_a_schedule_and_an_edit_of_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool, how: str
) -> None:
    [schedule] = await store_schedules(connection, TENANT)
    now = datetime.now(UTC)
    await store_due(connection, TENANT, [schedule], now, is_last=how == "last")
    queue = PostgresDueQueue(pool, dispatcher_id=1)
    [claimed] = await queue.claim(1, AHEAD, None)
    next_due_at = now + SOON if how == "chain" else None
    ended = Ended(
        claimed,
        "COMPLETED",
        None,
        1,
        now,
        now,
        3,
        "EVENT",
        next_due_at=next_due_at,
        disabled_revision=1 if how == "gone" else None,
    )
    await edited_meanwhile(connection, schedule, lambda: queue.record_ended([ended]))
    assert await connection.fetchval("SELECT status FROM ledger") == "COMPLETED"
    assert await connection.fetchval("SELECT state FROM schedule") == ("DISABLED" if how == "gone" else "PAUSED")
    assert await connection.fetchval("SELECT next_fire_at FROM schedule_cursor") is None, "a pause moves no chain"


async def postponed(queue: PostgresDueQueue, claimed: Sequence[Claimed]) -> None:
    now = datetime.now(UTC)
    await queue.record_postponed(
        [Postponed(item, 1, now, 3, now + SOON, "no answer", None, None, counts=True) for item in claimed]
    )


async def ended(queue: PostgresDueQueue, claimed: Sequence[Claimed]) -> None:
    now = datetime.now(UTC)
    await queue.record_ended([Ended(item, "FAILED", "refused", 1, now, now, 3, "EVENT") for item in claimed])


async def delivered(queue: PostgresDueQueue, claimed: Sequence[Claimed]) -> None:
    now = datetime.now(UTC)
    await queue.record_delivered([DeliveredTogether([item], now, now, 3, ["EVENT"]) for item in claimed])


@pytest.mark.parametrize(
    "write",
    [
        PostgresDueQueue.renew,
        PostgresDueQueue.release,
        PostgresDueQueue.forget,
        lambda queue, claimed: queue.put_off(claimed, [SOON] * len(claimed)),
        postponed,
        ended,
        delivered,
    ],
    ids=["renew", "release", "forget", "put_off", "postponed", "ended", "delivered"],
)
async def test_a_dispatcher_that_writes_many_rows_in_any_order_and_an_edit_of_their_schedule(
    connection: asyncpg.Connection,
    pool: asyncpg.Pool,
    write: Callable[[PostgresDueQueue, Sequence[Claimed]], Awaitable[object]],
) -> None:
    [schedule] = await store_schedules(connection, TENANT)
    due_at = datetime.now(UTC) + SOON
    first, *_ = [
        await store_due(connection, TENANT, [schedule], due_at + timedelta(seconds=number)) for number in range(3)
    ]
    queue = PostgresDueQueue(pool, dispatcher_id=1)
    claimed = await queue.claim(3, 2 * SOON, None)
    async with connection.transaction():
        await connection.execute("SELECT FROM due_queue WHERE id = $1 FOR UPDATE", first[0])
        writing = asyncio.ensure_future(write(queue, claimed[::-1]))
        await eventually(lambda: blocked(connection), within=5)
        assert len(await connection.fetch(statement("hold_occurrences"), TENANT, schedule, 1)) == 3
    await writing


async def test_whoever_follows_the_tz_database_passes_by_a_schedule_that_is_edited(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    schedules = await store_schedules(connection, TENANT, 2, planned_from=datetime.now(UTC))
    moves = PostgresZoneMoves(pool, DatabaseClock())
    async with connection.transaction():
        await connection.execute("SELECT FROM schedule WHERE id = $1 FOR UPDATE", schedules[0])
        async with moves.held([CursorKey(TENANT, schedule) for schedule in schedules], "2099z") as held:
            assert [ahead.cursor.schedule_id for ahead in held.ahead] == schedules[1:]


def nothing_left(cursor: Cursor) -> Plan:
    return Plan(cursor, cursor, [], [], finished=True)
