"""Housekeeping: months are made ahead, what is old is forgotten, and a count that fails holds nothing up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.housekeeping import Housekeeping
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import store_schedules

TENANT = "acme"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 3)
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
    return Housekeeping(pool, MovedClock(ahead), PrometheusMeasurements(CollectorRegistry()), StartTags(), retention)


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


async def test_a_count_that_fails_keeps_nothing_else_from_its_turn_and_waits_for_its_own(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await connection.execute("SET search_path = scheduler")
    await connection.execute("REVOKE SELECT ON schedule FROM scheduler_dispatch")
    await connection.execute("GRANT SELECT (tenant_id, id, resume_at) ON schedule TO scheduler_dispatch")
    house = keeping(pool, None, ahead=timedelta(days=400))
    made_before = await months(connection)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await house.step()
    assert len(await months(connection)) > len(made_before)
    await house.step()  # would fail again, if it counted again


async def test_schedules_are_counted_by_state(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    await store_schedules(connection, TENANT, 3)
    await connection.execute(
        "UPDATE schedule SET state = 'PAUSED' WHERE id = (SELECT min(id::text)::uuid FROM schedule)"
    )
    registry = CollectorRegistry()
    await Housekeeping(pool, DatabaseClock(), PrometheusMeasurements(registry), StartTags()).step()
    states = ("ACTIVE", "PAUSED", "COMPLETED")
    assert [registry.get_sample_value("scheduler_schedules", {"state": state}) for state in states] == [2, 1, None]


async def test_old_answers_and_moves_are_forgotten_however_many_and_young_ones_are_not(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await connection.execute("SET search_path = scheduler")
    await connection.execute(
        "INSERT INTO idempotent_request (tenant_id, key, fingerprint, created_at)"
        " SELECT 'acme', 'old' || n, ''::bytea, now() - interval '25 h' FROM generate_series(1, 12000) AS n"
        " UNION ALL SELECT 'acme', 'young', '', now() - interval '23 h'"
    )
    await connection.execute(
        "INSERT INTO tzdata_move (tenant_id, schedule_id, version, occurrence_id, was_at, moved_at)"
        " SELECT 'acme', gen_random_uuid(), '2026a', gen_random_uuid(), now(), now() - n * interval '1 day'"
        " FROM unnest('{399, 401, 402}'::int[]) AS n"
    )
    await asyncio.gather(*(keeping(pool, None, ahead=timedelta(0)).step() for _ in range(2)))
    assert await connection.fetchval("SELECT array_agg(key) FROM idempotent_request") == ["young"]
    assert await connection.fetchval("SELECT count(*) FROM tzdata_move") == 1


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
