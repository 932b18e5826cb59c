"""Deliveries recorded together: as if each were recorded by itself, whatever came between."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from tests.support.stored import store_due, store_schedules
from tests.support.waiting import eventually

AHEAD = timedelta(seconds=1)
FIRED_AT = datetime.now(UTC) + timedelta(seconds=2)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 2)
    yield opened
    await opened.close()


@pytest.fixture
def queue(pool: asyncpg.Pool) -> PostgresDueQueue:
    return PostgresDueQueue(pool, dispatcher_id=1)


@pytest.fixture
async def claimed(connection: asyncpg.Connection, queue: PostgresDueQueue) -> Sequence[Claimed]:
    schedules = await store_schedules(connection, "acme", 4)
    await store_due(connection, "acme", schedules, FIRED_AT - timedelta(seconds=2))
    return await eventually(lambda: queue.claim(4, AHEAD, None), within=5)


def together(claimed: Sequence[Claimed], fired_at: datetime = FIRED_AT) -> DeliveredTogether:
    return DeliveredTogether(list(claimed), fired_at, fired_at + timedelta(milliseconds=7), 7, ["EVENT"] * len(claimed))


async def ledger(connection: asyncpg.Connection) -> dict[object, tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT id, status, attempt_count, fired_at, duration_ms, lateness_ms FROM scheduler.ledger"
    )
    return {row[0]: tuple(row)[1:] for row in rows}


async def queued(connection: asyncpg.Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM scheduler.due_queue")
    return count


async def test_each_row_gets_the_instants_of_those_it_was_sent_with(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    later = FIRED_AT + timedelta(seconds=1)
    assert await queue.record_delivered([together(claimed[:3]), together(claimed[3:], later)]) == 4
    assert await queued(connection) == 0
    found = await ledger(connection)
    assert [found[item.id] for item in claimed[:3]] == [("COMPLETED", 1, FIRED_AT, 7, 2_000)] * 3
    assert found[claimed[3].id] == ("COMPLETED", 1, later, 7, 3_000)


async def test_a_row_that_a_renewal_moved_elsewhere_is_found_all_the_same(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    places = await queue.renew(claimed[:2])
    assert all(places[item.id] != item.place for item in claimed[:2])
    assert await queue.record_delivered([together(claimed)]) == 4
    assert len(await ledger(connection)) == 4


async def test_a_lost_lease_is_not_recorded_though_its_place_may_be_right(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    await connection.execute("UPDATE scheduler.due_queue SET lease_token = 2 WHERE id = $1", claimed[0].id)
    place = await connection.fetchval("SELECT ctid::text FROM scheduler.due_queue WHERE id = $1", claimed[0].id)
    claimed[0].place = place
    assert await queue.record_delivered([together(claimed)]) == 3
    assert claimed[0].id not in await ledger(connection)
    assert await queued(connection) == 1


async def test_a_place_that_another_row_has_taken_is_not_its_own(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    claimed[0].place, claimed[1].place = claimed[1].place, claimed[0].place
    assert await queue.record_delivered([together(claimed[:1])]) == 1
    assert list(await ledger(connection)) == [claimed[0].id]


async def test_one_that_has_ended_before_does_not_fail_the_others(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    await connection.execute(
        "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
        " reason, attempt_count, ended_at) SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at,"
        " 'SKIPPED', 'misfire-skipped', 0, now() FROM scheduler.due_queue WHERE id = $1",
        claimed[2].id,
    )
    assert await queue.record_delivered([together(claimed)]) == 4
    found = await ledger(connection)
    assert [found[item.id][0] for item in claimed] == ["COMPLETED", "COMPLETED", "SKIPPED", "COMPLETED"]
    assert await queued(connection) == 0


async def test_what_was_withdrawn_without_a_trace_is_known_to_have_been_delivered(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    await connection.execute("DELETE FROM scheduler.due_queue WHERE id = $1", claimed[0].id)
    assert await queue.record_delivered([together(claimed)]) == 3
    assert (await ledger(connection))[claimed[0].id][0] == "COMPLETED"


async def test_what_receivers_answered_is_kept_with_each_row(
    connection: asyncpg.Connection, queue: PostgresDueQueue, claimed: Sequence[Claimed]
) -> None:
    said = [(200, 'ok {"a", NULL}'), (204, None)]
    answered = [
        DeliveredTogether([item], FIRED_AT, FIRED_AT, 0, ["HTTP"], *answer)
        for item, answer in zip(claimed, said, strict=False)
    ]
    assert await queue.record_delivered([*answered, together(claimed[2:])]) == 4
    rows = await connection.fetch("SELECT id, status_code, response_excerpt FROM scheduler.ledger")
    found = {row[0]: (row[1], row[2]) for row in rows}
    assert [found[item.id] for item in claimed] == [*said, (None, None), (None, None)]
