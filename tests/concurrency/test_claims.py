"""What a claim of the queue brings, and when each goes out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain import lease
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import store_due, store_schedules

TENANT = "acme"


@pytest.fixture
async def queue(database: str) -> AsyncIterator[PostgresDueQueue]:
    pool = await open_dispatch_pool(database, 2)
    yield PostgresDueQueue(pool, dispatcher_id=1)
    await pool.close()


@pytest.fixture
def claim(queue: PostgresDueQueue) -> ClaimOccurrences:
    measurements = PrometheusMeasurements(CollectorRegistry())
    return ClaimOccurrences(queue, {}, DatabaseClock(), measurements, UNTRACED, lease.LENGTH)


async def claimed(claim: ClaimOccurrences) -> list[HeldOccurrence]:
    return [item async for held, _ in claim.walk(5_000, lambda: True) for item in held]


async def store(connection: asyncpg.Connection, count: int, due_at: datetime) -> None:
    await store_due(connection, TENANT, await store_schedules(connection, TENANT, count), due_at)


async def test_a_herd_goes_out_at_its_instant_whatever_its_tags(
    connection: asyncpg.Connection, claim: ClaimOccurrences
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await store(connection, 1_000, soon)
    assert {item.fire_at for item in await claimed(claim)} == {soon.timestamp()}


async def test_what_was_queued_late_goes_out_at_the_pace_of_its_lane_and_is_late_all_the_while(
    connection: asyncpg.Connection, claim: ClaimOccurrences
) -> None:
    now = datetime.now(UTC)
    an_hour_ago = now - timedelta(hours=1)
    await store(connection, 3_000, an_hour_ago)
    tags = [now + wait for wait in StartTags().waits(now, 3_000)]
    rows = await connection.fetch("SELECT ctid::text AS place FROM due_queue")
    await connection.executemany(
        "UPDATE due_queue SET start_tag = $2 WHERE ctid = $1::text::tid",
        [(row["place"], tag) for row, tag in zip(rows, tags, strict=True)],
    )
    held = await claimed(claim)
    assert len(held) == 3_000
    for item in held:
        waited = item.fire_at - item.claimed.start_tag
        assert 0 <= waited < 0.0101
    assert max(item.fire_at for item in held) - now.timestamp() == pytest.approx(1.5, abs=0.02)
    assert len({item.fire_at for item in held}) < 160
    assert {item.late_from for item in held} == {an_hour_ago.timestamp()}


async def test_what_only_a_newer_release_can_read_is_left_to_it_and_the_rest_goes_out(
    connection: asyncpg.Connection, claim: ClaimOccurrences
) -> None:
    await store(connection, 3, datetime.now(UTC))
    unknown = await connection.fetchval(
        "UPDATE schedule SET definition = jsonb_set(definition::jsonb, '{target}', '{\"kind\": \"PIGEON\"}')::json"
        " WHERE id = (SELECT min(id::text)::uuid FROM schedule) RETURNING id"
    )
    held = await claimed(claim)
    assert len(held) == 2
    assert unknown not in {item.claimed.schedule_id for item in held}
    [(left, error)] = claim.take_unreadable()
    assert left.schedule_id == unknown
    assert "PIGEON" in error
    assert claim.take_unreadable() == []
    await claim.let_go()
    row = await connection.fetchrow("SELECT lease_until > now() AS is_leased FROM due_queue WHERE id = $1", left.id)
    assert row["is_leased"], "a newer release claims it when the lease has run out"


async def test_what_cannot_be_prepared_is_a_dead_letter_that_says_why_and_the_rest_goes_out(
    connection: asyncpg.Connection, claim: ClaimOccurrences, queue: PostgresDueQueue
) -> None:
    await store(connection, 3, datetime.now(UTC))
    spoilt = await connection.fetchval(
        "UPDATE schedule SET definition = (definition::jsonb || $1::jsonb)::json"
        " WHERE id = (SELECT min(id::text)::uuid FROM schedule) RETURNING id",
        '{"tz": "Mars/Olympus", "payload": {"on": "${localDate}"}}',
    )
    batches = [batch async for batch in claim.walk(5_000, lambda: True)]
    assert [(len(held), len(ended)) for held, ended in batches] == [(2, 1)]
    await queue.record_ended(batches[0][1])
    row = await connection.fetchrow("SELECT schedule_id, status, reason, attempt_count, fired_at, error FROM ledger")
    assert tuple(row)[:-1] == (spoilt, "FAILED", "refused", 0, None)
    assert "Mars/Olympus" in row["error"]


async def test_what_an_edit_has_just_changed_is_judged_again_and_not_by_what_was_wrong_before(
    connection: asyncpg.Connection, claim: ClaimOccurrences, queue: PostgresDueQueue
) -> None:
    """A claim may read a schedule as it was before an edit, and the row as it is after it."""
    await store(connection, 1, datetime.now(UTC))
    await connection.execute(
        "UPDATE schedule SET definition = (definition::jsonb || $1::jsonb)::json",
        '{"tz": "Mars/Olympus", "payload": {"on": "${localDate}"}}',
    )
    await connection.execute("UPDATE due_queue SET revision = 2, kind = 'MANUAL'")
    assert [batch async for batch in claim.walk(5_000, lambda: True)] == [([], [])]
    await claim.let_go()
    assert len(await queue.claim(1, timedelta(0), None)) == 1
