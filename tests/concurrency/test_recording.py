"""Recording when something came between: two outcomes of one row, and rows that a change took away."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.domain.schedule import FixedDelayTrigger
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

AHEAD = timedelta(seconds=1)
SHORT_LEASE = timedelta(milliseconds=80)
TENANT = "acme"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 2)
    yield opened
    await opened.close()


@pytest.fixture
def queue(pool: asyncpg.Pool) -> PostgresDueQueue:
    return PostgresDueQueue(pool, dispatcher_id=1, lease_length=SHORT_LEASE)


def completed(claimed: Claimed, ended_at: datetime, next_due_at: datetime | None = None) -> Ended:
    return Ended(claimed, "COMPLETED", None, 1, ended_at, ended_at, 3, "EVENT", next_due_at=next_due_at)


async def claimed_once(connection: asyncpg.Connection, queue: PostgresDueQueue) -> Claimed:
    """Return the claim of what a schedule that runs from completion has due."""
    schedules = await store_schedules(connection, TENANT, of=definition(FixedDelayTrigger(3_600)))
    await store_due(connection, TENANT, schedules, datetime.now(UTC))
    (claimed,) = await queue.claim(1, AHEAD, None)
    return claimed


async def test_of_two_outcomes_of_one_row_the_one_under_the_newer_lease_moves_the_chain(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    early, late = datetime.now(UTC), datetime.now(UTC) + timedelta(seconds=10)
    before = await claimed_once(connection, queue)
    (after,) = await eventually(lambda: queue.claim(1, AHEAD, None), within=5)
    chain = timedelta(hours=1)
    outcomes = [completed(before, early, early + chain), completed(after, late, late + chain)]
    assert await queue.record_ended(outcomes) == 1
    assert await connection.fetchval("SELECT ended_at FROM scheduler.ledger") == late
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") == late + chain


async def test_a_delivery_whose_row_was_withdrawn_without_a_trace_is_known_all_the_same(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    claimed = await claimed_once(connection, queue)
    await connection.execute("DELETE FROM scheduler.due_queue")
    assert await queue.record_ended([completed(claimed, datetime.now(UTC))]) == 0
    row = await connection.fetchrow("SELECT id, schedule_id, status, scheduled_for FROM scheduler.ledger")
    assert tuple(row) == (claimed.id, claimed.schedule_id, "COMPLETED", claimed.instant)


@pytest.mark.parametrize(("status", "reason"), [("CANCELLED", "schedule-paused"), ("SKIPPED", "misfire-coalesced")])
async def test_a_delivery_that_was_written_as_withdrawn_or_missed_meanwhile_is_told_as_what_it_was(
    connection: asyncpg.Connection, queue: PostgresDueQueue, status: str, reason: str
) -> None:
    """The holder could not reach the database, and a claim found the schedule paused, or the row missed."""
    before = await claimed_once(connection, queue)
    (after,) = await eventually(lambda: queue.claim(1, AHEAD, None), within=5)
    fired_at = datetime.now(UTC)
    withdrawn = Ended(after, status, reason, 0, None, fired_at, None, "EVENT")
    assert await queue.record_ended([withdrawn]) == 1
    assert await queue.record_ended([completed(before, fired_at)]) == 0
    row = await connection.fetchrow("SELECT status, reason, attempt_count, fired_at FROM scheduler.ledger")
    assert tuple(row) == ("COMPLETED", None, 1, fired_at)


async def test_a_late_outcome_of_a_row_that_another_holds_or_ended_changes_nothing(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    before = await claimed_once(connection, queue)
    (after,) = await eventually(lambda: queue.claim(1, AHEAD, None), within=5)
    late = completed(before, datetime.now(UTC))
    assert await queue.record_ended([late]) == 0
    assert await connection.fetchval("SELECT count(*) FROM scheduler.ledger") == 0
    await queue.record_ended([completed(after, datetime.now(UTC))])
    recorded = await connection.fetch("SELECT * FROM scheduler.ledger")
    assert await queue.record_ended([late]) == 0
    assert await connection.fetch("SELECT * FROM scheduler.ledger") == recorded


async def test_a_row_that_the_database_will_not_have_stops_no_other(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """The middle one of each kind holds a character that PostgreSQL cannot store."""
    schedules = await store_schedules(connection, TENANT, 9)
    await store_due(connection, TENANT, schedules, datetime.now(UTC))
    queue = PostgresDueQueue(pool, dispatcher_id=1)
    claimed = await queue.claim(9, AHEAD, None)
    now = datetime.now(UTC)
    plain, moving, later = claimed[:3], claimed[3:6], claimed[6:]
    ended = [completed(item, now) for item in plain] + [completed(item, now, now) for item in moving]
    for place in (1, 4):
        ended[place] = replace(ended[place], response_excerpt="\0")
    postponed = [Postponed(item, 1, now, 3, now, "away", None, None, counts=True) for item in later]
    postponed[1] = replace(postponed[1], error="\0")
    with capture_logs() as logs:
        assert await queue.record_ended(ended) == 4
        assert await queue.record_postponed(postponed) == 2
    refused = {str(claimed[place].id) for place in (1, 4, 7)}
    assert {log["occurrence_id"] for log in logs if log["event"] == "record.refused"} == refused
    held = await connection.fetch("SELECT id FROM scheduler.due_queue WHERE lease_until > now()")
    assert {str(row["id"]) for row in held} == refused


async def test_a_delivery_that_the_database_will_not_have_stops_no_other(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await store_due(connection, TENANT, await store_schedules(connection, TENANT, 3), datetime.now(UTC))
    claimed = await queue.claim(3, AHEAD, None)
    now = datetime.now(UTC)
    deliveries = [
        DeliveredTogether([item], now, now, 3, ["HTTP"], 200, text) for item, text in zip(claimed, "a\0b", strict=True)
    ]
    assert await queue.record_delivered(deliveries) == 2
    recorded = await connection.fetch("SELECT id FROM scheduler.ledger")
    assert {row["id"] for row in recorded} == {claimed[0].id, claimed[2].id}


async def test_what_no_row_is_to_blame_for_is_kept_for_another_try(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    claimed = await claimed_once(connection, queue)
    await connection.execute("REVOKE DELETE ON scheduler.due_queue FROM scheduler_dispatch")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await queue.record_ended([completed(claimed, datetime.now(UTC))])
