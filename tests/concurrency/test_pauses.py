"""A pause that named its end: the schedule goes on from that end, once, whenever a dispatcher comes to look."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, Misfire, OneShotTrigger, ScheduleDefinition
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.pauses import NOTICED_WITHIN, Pauses
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import FROM_A_NEWER_RELEASE, definition, store_due, store_schedules

TENANT = "acme"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
EACH_SECOND = CronTrigger("* * * * * *")
POLICIES = ("FIRE_LATEST", "FIRE_ALL", "SKIP")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 3)
    yield opened
    await opened.close()


@pytest.fixture
def pauses(pool: asyncpg.Pool) -> Pauses:
    return Pauses(pool, StartTags())


async def plan_all(pool: asyncpg.Pool) -> None:
    clock = DatabaseClock()
    follow = FollowTzdata(PostgresZoneMoves(pool, clock), clock, StartTags())
    registry = PrometheusMeasurements(CollectorRegistry())
    ports = (PostgresCursors(pool), PostgresLeadership(pool), clock, registry, UNTRACED)
    await MaterialiseOccurrences(*ports, MINUTE, follow, StartTags()).plan_due()


async def store_paused(
    connection: asyncpg.Connection, resume_at: datetime, of: ScheduleDefinition | None = None, count: int = 1
) -> list[Any]:
    schedules = await store_schedules(connection, TENANT, count, of=of)
    await connection.execute(
        "UPDATE schedule SET state = 'PAUSED', state_reason = 'tests', resume_at = $1, paused_at = now()", resume_at
    )
    return schedules


async def stored(connection: asyncpg.Connection) -> asyncpg.Record:
    return await connection.fetchrow(
        "SELECT s.state, s.version, s.resume_at, c.next_fire_at, c.in_force_since FROM schedule s"
        " JOIN schedule_cursor c ON c.schedule_id = s.id"
    )


async def planned(connection: asyncpg.Connection) -> list[datetime]:
    rows = await connection.fetch("SELECT scheduled_for FROM due_queue ORDER BY scheduled_for")
    return [row["scheduled_for"] for row in rows]


async def reasons(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT reason, count(*) AS number FROM ledger GROUP BY reason")
    return {row["reason"]: row["number"] for row in rows}


def seconds_ago(number: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - number * SECOND


async def test_a_pause_goes_on_until_its_end(connection: asyncpg.Connection, pauses: Pauses) -> None:
    await store_paused(connection, datetime.now(UTC) + MINUTE)
    await pauses.lift()
    after = await stored(connection)
    assert (after["state"], after["next_fire_at"]) == ("PAUSED", None)


async def test_a_schedule_is_active_from_the_end_of_its_pause_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    resume_at = seconds_ago(1)
    await store_paused(connection, resume_at)
    await asyncio.gather(*(Pauses(pool, StartTags()).lift() for _ in range(2)))
    after = await stored(connection)
    assert (after["state"], after["version"], after["resume_at"]) == ("ACTIVE", 2, None)
    assert after["in_force_since"] == resume_at
    assert resume_at < after["next_fire_at"] <= datetime.now(UTC) + MINUTE


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_instant_at_the_end_of_a_pause_fires_and_so_does_all_until_a_dispatcher_looked(
    connection: asyncpg.Connection, pool: asyncpg.Pool, policy: Any
) -> None:
    resume_at = seconds_ago(5)
    await store_paused(connection, resume_at, definition(EACH_SECOND, misfire=Misfire(policy)))
    await asyncio.gather(*(Pauses(pool, StartTags()).lift() for _ in range(2)))
    found = await planned(connection)
    assert len(found) >= 5
    assert found == [resume_at + number * SECOND for number in range(len(found))]
    assert (await stored(connection))["next_fire_at"] == found[-1] + SECOND
    assert await reasons(connection) == {}


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_one_shot_at_the_very_end_of_a_pause_fires(
    connection: asyncpg.Connection, pauses: Pauses, policy: Any
) -> None:
    at = seconds_ago(3)
    await store_paused(connection, at, definition(OneShotTrigger(at.isoformat()), misfire=Misfire(policy)))
    await pauses.lift()
    assert await planned(connection) == [at]
    assert await connection.fetchval("SELECT is_last FROM due_queue")
    assert (await stored(connection))["state"] == "ACTIVE"


async def test_what_a_pause_covered_is_gone_and_a_schedule_with_nothing_left_is_completed(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    await store_paused(connection, seconds_ago(2), definition(OneShotTrigger(seconds_ago(3).isoformat())))
    await pauses.lift()
    assert (await stored(connection))["state"] == "COMPLETED"
    assert await planned(connection) == []


@pytest.mark.parametrize(
    ("policy", "fired", "skipped"),
    [("FIRE_LATEST", 1, "misfire-coalesced"), ("FIRE_ALL", 60, None), ("SKIP", 0, "misfire-skipped")],
)
async def test_after_a_long_absence_the_misfire_policy_decides_from_the_end_of_the_pause_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool, pauses: Pauses, policy: Any, fired: int, skipped: str | None
) -> None:
    until = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    resume_at = until - timedelta(minutes=59)
    of = definition(CronTrigger("* * * * *"), misfire=Misfire(policy), end_at=until)
    await store_paused(connection, resume_at, of)
    await pauses.lift()
    assert (await stored(connection))["next_fire_at"] == resume_at
    assert await planned(connection) == []
    await plan_all(pool)
    assert len(await planned(connection)) == fired
    assert await reasons(connection) == ({} if skipped is None else {skipped: 60 - fired})


async def test_an_end_noticed_late_is_not_taken_for_one_noticed_in_time(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    resume_at = seconds_ago(1) - NOTICED_WITHIN
    await store_paused(connection, resume_at, definition(EACH_SECOND))
    await pauses.lift()
    assert await planned(connection) == []
    assert (await stored(connection))["next_fire_at"] == resume_at


async def test_a_delay_from_completion_goes_on_with_one_occurrence(
    connection: asyncpg.Connection, pool: asyncpg.Pool, pauses: Pauses
) -> None:
    await store_paused(connection, seconds_ago(2), definition(FixedDelayTrigger(1)))
    await pauses.lift()
    await plan_all(pool)
    assert len(await planned(connection)) == 1


async def test_a_schedule_whose_runs_are_spent_gets_no_further_one(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    await store_paused(connection, seconds_ago(2), definition(EACH_SECOND, max_runs=3))
    await connection.execute("UPDATE schedule_cursor SET run_count = 3")
    await pauses.lift()
    assert (await stored(connection))["state"] == "COMPLETED"
    assert await planned(connection) == []


async def test_runs_before_the_pause_count_among_those_after_it(connection: asyncpg.Connection, pauses: Pauses) -> None:
    await store_paused(connection, seconds_ago(5), definition(EACH_SECOND, max_runs=3))
    await connection.execute("UPDATE schedule_cursor SET run_count = 1")
    await pauses.lift()
    assert len(await planned(connection)) == 2
    assert (await stored(connection))["next_fire_at"] is None


async def test_a_rule_that_can_no_longer_be_planned_is_set_aside_and_the_others_go_on(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    [broken, *_] = await store_paused(connection, seconds_ago(1), count=3)
    await connection.execute(
        "UPDATE schedule_cursor SET rule = jsonb_set(rule::jsonb, '{tz}', '\"Atlantis/Gone\"')::json"
        " WHERE schedule_id = $1",
        broken,
    )
    await pauses.lift()
    row = await connection.fetchrow("SELECT state, state_reason, resume_at FROM schedule WHERE id = $1", broken)
    assert (row["state"], row["resume_at"]) == ("DISABLED", None)
    assert "Atlantis/Gone" in row["state_reason"]
    assert await connection.fetchval("SELECT count(*) FROM schedule WHERE state = 'ACTIVE'") == 2


async def test_a_rule_of_a_newer_release_is_left_to_it_and_the_others_go_on(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    [unknown, *_] = await store_paused(connection, seconds_ago(1), count=3)
    await connection.execute(FROM_A_NEWER_RELEASE, unknown)
    await pauses.lift()
    assert await connection.fetchval("SELECT state FROM schedule WHERE id = $1", unknown) == "PAUSED"
    assert await connection.fetchval("SELECT count(*) FROM schedule WHERE state = 'ACTIVE'") == 2


async def test_a_pause_whose_end_was_moved_meanwhile_is_not_lifted(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [schedule] = await store_paused(connection, datetime.now(UTC) + MINUTE)
    now = datetime.now(UTC)
    await pool.execute(statement("lift_pause"), TENANT, schedule, 1, now, None, None, False, now)
    assert (await stored(connection))["state"] == "PAUSED"


async def test_what_the_pause_left_to_a_holder_is_planned_again_and_not_ended_if_it_is_due_after_the_pause(
    connection: asyncpg.Connection, pauses: Pauses
) -> None:
    resume_at = seconds_ago(3)
    schedules = await store_paused(connection, resume_at, definition(EACH_SECOND))
    for at in (resume_at - SECOND, resume_at + SECOND):
        await store_due(connection, TENANT, schedules, at)
    await pauses.lift()
    found = await planned(connection)
    assert found == [resume_at + number * SECOND for number in range(len(found))]
    rows = await connection.fetch("SELECT scheduled_for, reason FROM ledger")
    assert [tuple(row) for row in rows] == [(resume_at - SECOND, "schedule-paused")]
