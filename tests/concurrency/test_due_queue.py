"""The lease protocol on PostgreSQL: one holder at a time, fenced writes, nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.ports.due_queue import Claimed, Ended, Postponed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.domain.schedule import FixedDelayTrigger
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

AHEAD = timedelta(seconds=1)
SHORT_LEASE = timedelta(milliseconds=80)
TENANT = "acme"
# The last one: asyncpg tells so that a connection was cut while nothing was asked of it.
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 4)
    yield opened
    await opened.close()


@pytest.fixture
def queue(pool: asyncpg.Pool) -> PostgresDueQueue:
    return PostgresDueQueue(pool, dispatcher_id=1)


@pytest.fixture
def rival(pool: asyncpg.Pool) -> PostgresDueQueue:
    return PostgresDueQueue(pool, dispatcher_id=2)


def completed(claimed: Claimed, *, next_due_at: datetime | None = None, disabled_revision: int | None = None) -> Ended:
    now = datetime.now(UTC)
    return Ended(
        claimed,
        "COMPLETED",
        None,
        1,
        now,
        now,
        3,
        "EVENT",
        next_due_at=next_due_at,
        disabled_revision=disabled_revision,
        error=None,
    )


def postponed(claimed: Claimed, retry_at: datetime, *, counts: bool = True) -> Postponed:
    now = datetime.now(UTC)
    return Postponed(claimed, claimed.attempt_count + counts, now, 5, retry_at, "no answer", None, None, counts)


async def due_now(connection: asyncpg.Connection, count: int = 1, **options: bool) -> None:
    schedules = await store_schedules(connection, TENANT, count)
    await store_due(connection, TENANT, schedules, datetime.now(UTC), **options)


async def ledger(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM scheduler.ledger ORDER BY id")


async def queued(connection: asyncpg.Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM scheduler.due_queue")
    return count


async def test_two_dispatchers_never_hold_the_same_occurrence(
    connection: asyncpg.Connection, queue: PostgresDueQueue, rival: PostgresDueQueue
) -> None:
    await due_now(connection, 500)

    async def claim_all(of: PostgresDueQueue) -> list[Claimed]:
        held: list[Claimed] = []
        while batch := await of.claim(20, AHEAD, None):
            held += batch
        return held

    mine, theirs = await asyncio.gather(claim_all(queue), claim_all(rival))
    assert len(mine) + len(theirs) == 500
    assert {item.id for item in mine}.isdisjoint(item.id for item in theirs)
    assert mine
    assert theirs


async def test_what_is_not_due_within_the_window_is_left(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    schedules = await store_schedules(connection, TENANT)
    await store_due(connection, TENANT, schedules, datetime.now(UTC) + timedelta(seconds=30))
    assert await queue.claim(10, AHEAD, None) == []


async def test_claims_come_in_start_tag_order_and_can_go_on_from_a_tag(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection, 30)
    first = await queue.claim(10, AHEAD, None)
    rest = await queue.claim(30, AHEAD, first[-1].start_tag)
    tags = [item.start_tag for item in (*first, *rest)]
    assert len(tags) == 30
    assert tags == sorted(tags)


async def test_a_lease_that_ran_out_is_taken_over_and_its_old_holder_is_fenced(
    connection: asyncpg.Connection, pool: asyncpg.Pool, rival: PostgresDueQueue
) -> None:
    await due_now(connection)
    [lost] = await PostgresDueQueue(pool, 1, SHORT_LEASE).claim(1, AHEAD, None)
    [taken] = await eventually(lambda: rival.claim(1, AHEAD, None), within=5)
    assert taken.lease_token == lost.lease_token + 1

    assert await rival.record_ended([completed(lost)]) == 0
    assert await rival.record_postponed([postponed(lost, datetime.now(UTC))]) == 0
    assert await queued(connection) == 1
    assert await rival.record_ended([completed(taken)]) == 1
    assert [row["status"] for row in await ledger(connection)] == ["COMPLETED"]
    assert await queued(connection) == 0


async def test_a_renewed_lease_is_kept_and_a_lost_one_is_not_renewed(
    connection: asyncpg.Connection, pool: asyncpg.Pool, queue: PostgresDueQueue, rival: PostgresDueQueue
) -> None:
    await due_now(connection, 2)
    kept, lost = await PostgresDueQueue(pool, 1, SHORT_LEASE).claim(2, AHEAD, None)
    assert (await queue.renew([kept])).keys() == {kept.id}
    [taken] = await eventually(lambda: rival.claim(2, AHEAD, None), within=5)
    assert taken.id == lost.id
    assert (await queue.renew([kept, lost])).keys() == {kept.id}


async def test_released_occurrences_are_claimable_at_once(
    connection: asyncpg.Connection, queue: PostgresDueQueue, rival: PostgresDueQueue
) -> None:
    await due_now(connection, 3)
    await queue.release(await queue.claim(3, AHEAD, None))
    assert len(await rival.claim(3, AHEAD, None)) == 3


async def test_a_failed_attempt_is_kept_and_the_next_is_due_at_its_instant(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection)
    [claimed] = await queue.claim(1, AHEAD, None)
    retry_at = datetime.now(UTC) + timedelta(milliseconds=300)
    assert await queue.record_postponed([postponed(claimed, retry_at)]) == 1
    [again] = await queue.claim(1, AHEAD, None)
    assert (again.attempt_count, again.was_tried, again.start_tag) == (1, True, retry_at.timestamp())
    attempts = await connection.fetch("SELECT number, error FROM scheduler.attempt")
    assert [tuple(row) for row in attempts] == [(1, "no answer")]


async def test_an_attempt_that_does_not_count_leaves_no_trace_but_is_never_sent_as_new(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection)
    [claimed] = await queue.claim(1, AHEAD, None)
    await queue.record_postponed([postponed(claimed, datetime.now(UTC), counts=False)])
    [again] = await queue.claim(1, AHEAD, None)
    assert (again.attempt_count, again.was_tried) == (0, True)
    assert await connection.fetchval("SELECT count(*) FROM scheduler.attempt") == 0


async def test_lateness_is_counted_from_the_first_attempt(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection)
    [claimed] = await queue.claim(1, AHEAD, None)
    await queue.record_postponed([postponed(claimed, datetime.now(UTC))])
    [again] = await queue.claim(1, AHEAD, None)
    late = completed(again)
    await queue.record_ended([_fired(late, late.ended_at + timedelta(hours=1))])
    [row] = await ledger(connection)
    assert row["lateness_ms"] < 60_000


async def test_the_last_occurrence_completes_its_schedule(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection, is_last=True)
    [claimed] = await queue.claim(1, AHEAD, None)
    await queue.record_ended([completed(claimed)])
    assert await connection.fetchval("SELECT state FROM scheduler.schedule") == "COMPLETED"


async def test_an_end_sets_the_next_instant_of_a_schedule_that_runs_from_completion(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    chain = await store_schedules(connection, TENANT, of=definition(FixedDelayTrigger(60)))
    await store_due(connection, TENANT, chain, datetime.now(UTC))
    [claimed] = await queue.claim(1, AHEAD, None)
    next_due_at = datetime.now(UTC) + timedelta(seconds=60)
    await queue.record_ended([completed(claimed, next_due_at=next_due_at)])
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") == next_due_at


async def test_a_lost_lease_moves_no_schedule_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool, rival: PostgresDueQueue
) -> None:
    await due_now(connection, is_last=True)
    queue = PostgresDueQueue(pool, 1, SHORT_LEASE)
    [lost] = await queue.claim(1, AHEAD, None)
    await eventually(lambda: rival.claim(1, AHEAD, None), within=5)
    assert await queue.record_ended([completed(lost, next_due_at=datetime.now(UTC), disabled_revision=1)]) == 0
    assert await connection.fetchval("SELECT state FROM scheduler.schedule") == "ACTIVE"
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") is None


async def test_a_target_that_is_gone_disables_its_schedule(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    schedules = await store_schedules(connection, TENANT, planned_from=datetime.now(UTC))
    await store_due(connection, TENANT, schedules, datetime.now(UTC))
    [claimed] = await queue.claim(1, AHEAD, None)
    await queue.record_ended([completed(claimed, disabled_revision=1)])
    assert await connection.fetchval("SELECT state FROM scheduler.schedule") == "DISABLED"
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") is None


async def test_a_claim_brings_the_schedule_as_it_stands(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    schedules = await store_schedules(connection, TENANT, 2, of=definition(payload={"text": "hello"}))
    await store_due(connection, TENANT, schedules, datetime.now(UTC))
    await connection.execute("DELETE FROM scheduler.schedule WHERE id = $1", schedules[1])
    present, gone = sorted(await queue.claim(2, AHEAD, None), key=lambda item: item.definition is None)
    assert (present.schedule_revision, present.schedule_state) == (1, "ACTIVE")
    assert '"hello"' in (present.definition or "")
    assert (gone.definition, gone.schedule_state) == (None, None)


async def test_one_instant_ends_once_even_if_it_was_queued_twice(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    schedules = await store_schedules(connection, TENANT)
    due_at = datetime.now(UTC)
    for _ in range(2):
        await store_due(connection, TENANT, schedules, due_at)
        claimed: Sequence[Claimed] = await queue.claim(1, AHEAD, None)
        await queue.record_ended([completed(item) for item in claimed])
    assert len(await ledger(connection)) == 1


async def test_outcomes_are_kept_while_the_database_is_away_and_written_once_it_is_back(
    connection: asyncpg.Connection, administration: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    await due_now(connection)
    [claimed] = await queue.claim(1, AHEAD, None)
    outcomes = RecordOutcomes(queue, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), UNTRACED)
    outcomes.add_ended([completed(claimed)])
    name = await connection.fetchval("SELECT current_database()")
    await administration.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await administration.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name <> ''", name
    )
    for _ in range(2):
        with pytest.raises(AWAY):
            await outcomes.step()
        assert outcomes.open_count == 1
    await administration.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await eventually(lambda: _written(outcomes), within=10)
    assert outcomes.open_count == 0
    assert [row["status"] for row in await ledger(connection)] == ["COMPLETED"]


async def test_an_outcome_counts_as_open_until_it_is_written(
    connection: asyncpg.Connection, queue: PostgresDueQueue
) -> None:
    """A drain that looked away while a write was under way would end the process before it."""
    await due_now(connection)
    [claimed] = await queue.claim(1, AHEAD, None)
    outcomes = RecordOutcomes(queue, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), UNTRACED)
    outcomes.add_ended([completed(claimed)])
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM due_queue FOR UPDATE")
        writing = asyncio.create_task(outcomes.step())
        await eventually(lambda: _waits_for_a_lock(connection), within=5)
        assert outcomes.open_count == 1
    await writing
    assert outcomes.open_count == 0


async def _waits_for_a_lock(connection: asyncpg.Connection) -> bool:
    waiting: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return waiting


async def _written(outcomes: RecordOutcomes) -> bool:
    try:
        return bool(await outcomes.step())
    except AWAY:
        return False


def _fired(ended: Ended, at: datetime) -> Ended:
    return Ended(ended.claimed, ended.status, None, 2, at, at, 3, "EVENT")
