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
async def claim(database: str) -> AsyncIterator[ClaimOccurrences]:
    pool = await open_dispatch_pool(database, 2)
    measurements = PrometheusMeasurements(CollectorRegistry())
    queue = PostgresDueQueue(pool, dispatcher_id=1)
    yield ClaimOccurrences(queue, {}, DatabaseClock(), measurements, UNTRACED, lease.LENGTH)
    await pool.close()


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
