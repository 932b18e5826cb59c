"""Following the tz database on PostgreSQL: rivals, crashes, claims and edits in between; nothing is lost or doubled.

Plans are stored as another edition of the tz database would have made them: an hour late or early, under the names
that they have.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.ports.zone_moves import CursorKey, HeldCursors
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import PlanningRule, first_cursor, instant_id, plan
from scheduler_domain.domain.schedule import CronTrigger, OneShotTrigger, ScheduleDefinition, rule_spec_of
from scheduler_domain.domain.triggers import Instant, compile_rule, tzdata_version
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from tests.concurrency.test_materialise import planner
from tests.support.stored import definition, store_schedules

TENANT = "acme"
OLD = "2020a"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 6, hash_joins=True)
    yield opened
    await opened.close()


class BreaksOff(PostgresZoneMoves):
    """Ends as a crash would: after everything is written, before it is committed."""

    @asynccontextmanager
    async def held(self, keys: Sequence[CursorKey], version: str) -> AsyncIterator[HeldCursors]:
        async with super().held(keys, version) as held:
            yield held
            raise ConnectionAbortedError


def follower(pool: asyncpg.Pool) -> FollowTzdata:
    return FollowTzdata(PostgresZoneMoves(pool, DatabaseClock()), DatabaseClock(), StartTags())


async def walked(follow: FollowTzdata) -> int:
    """Walk to the end; return how many changes were found."""
    followed = await follow.step()
    changes = followed.change_count
    while followed.goes_on:
        followed = await follow.step()
        changes += followed.change_count
    return changes


def in_berlin(at: datetime) -> datetime:
    """The local time in Berlin of a full minute, by the edition in use."""
    minutely = compile_rule(rule_spec_of(PlanningRule(trigger=CronTrigger("* * * * *"), tz="Europe/Berlin"), at))
    return minutely.page(at - timedelta(seconds=1), 1).instants[0].local


def daily(at: datetime) -> ScheduleDefinition:
    """A schedule of each day at the local time in Berlin that an instant has."""
    local = in_berlin(at)
    return definition(CronTrigger(f"{local.minute} {local.hour} * * *"), tz="Europe/Berlin")


async def store_moved(
    connection: asyncpg.Connection, at: datetime, was_at: datetime, count: int = 1
) -> tuple[list[UUID], ScheduleDefinition]:
    """Store schedules whose cursor stands, by an older edition, at `was_at` for the instant that is at `at`."""
    of = daily(at)
    ids = await store_schedules(connection, TENANT, count, of=of, planned_from=at)
    await connection.execute("UPDATE schedule_cursor SET next_fire_at = $1, tzdata = $2", was_at, OLD)
    return ids, of


def named(of: ScheduleDefinition, schedule: UUID, at: datetime) -> tuple[UUID, Instant]:
    cursor = first_cursor(TENANT, schedule, 1, PlanningRule.of(of), at, at)
    instant = compile_rule(rule_spec_of(cursor.rule, at)).page(at - timedelta(microseconds=1), 1).instants[0]
    return instant_id(cursor, OccurrenceKind.SCHEDULED, instant), instant


async def queue_as_planned(
    connection: asyncpg.Connection, of: ScheduleDefinition, schedules: Sequence[UUID], at: datetime, was_at: datetime
) -> list[UUID]:
    """Queue the occurrence of `at` as an older edition planned it, and put the cursors a day on."""
    ids = [named(of, schedule, at)[0] for schedule in schedules]
    await connection.executemany(
        "INSERT INTO due_queue (tenant_id, schedule_id, id, revision, scheduled_for, due_at, start_tag)"
        " VALUES ($1, $2, $3, 1, $4, $4, $4)",
        [(TENANT, schedule, id_, was_at) for schedule, id_ in zip(schedules, ids, strict=True)],
    )
    await connection.execute(
        "UPDATE schedule_cursor SET next_fire_at = next_fire_at + interval '1 day', run_count = 1,"
        " next_order_ms = next_order_ms + 86400000"
    )
    return ids


def in_minutes(count: int) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=count + 1)


async def editions(connection: asyncpg.Connection) -> set[str | None]:
    return {row["tzdata"] for row in await connection.fetch("SELECT DISTINCT tzdata FROM scheduler.schedule_cursor")}


async def test_two_followers_at_once_move_each_cursor_once(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    at = in_minutes(90)
    await store_moved(connection, at, at + HOUR, 900)
    found = await asyncio.gather(*(walked(follower(pool)) for _ in range(2)))
    found.append(await walked(follower(pool)))  # what one had locked, the other passed by
    assert sum(found) == 900
    assert await editions(connection) == {tzdata_version()}
    assert [row[0] for row in await connection.fetch("SELECT DISTINCT next_fire_at FROM schedule_cursor")] == [at]
    moves = await connection.fetch("SELECT DISTINCT version, was_at, is_at FROM tzdata_move")
    assert [tuple(row) for row in moves] == [(tzdata_version(), at + HOUR, at)]


async def test_a_follower_that_broke_off_is_gone_on_from_where_it_was(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(90)
    await store_moved(connection, at, at - HOUR, 500)
    assert (await follower(pool).step()).goes_on
    assert await editions(connection) == {OLD, tzdata_version()}
    broken = FollowTzdata(BreaksOff(pool, DatabaseClock()), DatabaseClock(), StartTags())
    with pytest.raises(ConnectionAbortedError):
        await walked(broken)
    assert await connection.fetchval("SELECT count(*) FROM tzdata_move") == 200
    assert await walked(follower(pool)) == 300
    assert await connection.fetchval("SELECT count(*) FROM tzdata_move") == 500
    assert await editions(connection) == {tzdata_version()}


async def test_what_is_queued_moves_and_keeps_its_key_and_what_is_leased_fires_as_planned(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at, was_at = in_minutes(30), in_minutes(0)
    schedules, of = await store_moved(connection, at, was_at, 2)
    ids = await queue_as_planned(connection, of, schedules, at, was_at)
    dispatcher = await connection.fetchval("INSERT INTO dispatcher (name) VALUES ('held') RETURNING id")
    [held] = await PostgresDueQueue(pool, dispatcher).claim(1, timedelta(minutes=5), None)
    await walked(follower(pool))
    rows = {row["id"]: row for row in await connection.fetch("SELECT * FROM due_queue")}
    assert set(rows) == set(ids)
    assert rows.pop(held.id)["due_at"] == was_at
    [moved] = rows.values()
    assert (moved["scheduled_for"], moved["due_at"], moved["start_tag"]) == (at, at, at)
    assert {row[0] for row in await connection.fetch("SELECT next_fire_at FROM schedule_cursor")} == {at + DAY}


async def test_an_occurrence_that_ended_is_not_planned_again_when_its_time_comes_round_again(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(0)
    [schedule], of = await store_moved(connection, at, at - HOUR)
    id_, instant = named(of, schedule, at)
    await connection.execute(
        "UPDATE schedule_cursor SET next_fire_at = next_fire_at + interval '1 day',"
        " next_order_ms = next_order_ms + 86400000"
    )
    await connection.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,"
        " fired_at, ended_at) VALUES ($1, $2, $3, 'SCHEDULED', 1, $4, $4, 'COMPLETED', 1, $4, $4)",
        *(TENANT, id_, schedule, instant.at - HOUR),
    )
    await walked(follower(pool))
    await planner(pool).step()
    assert await connection.fetchval("SELECT count(*) FROM due_queue") == 0
    assert await connection.fetchval("SELECT next_fire_at FROM schedule_cursor") == at + DAY


async def test_the_planner_follows_what_it_is_about_to_plan_before_the_walk_comes_to_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(60)
    await store_moved(connection, at, in_minutes(-1), 20)
    await planner(pool).step()
    assert await connection.fetchval("SELECT count(*) FROM due_queue") == 0
    assert await connection.fetchval("SELECT count(*) FROM ledger") == 0
    assert [row[0] for row in await connection.fetch("SELECT DISTINCT next_fire_at FROM schedule_cursor")] == [at]


async def test_cursors_from_before_editions_were_kept_are_planned_where_they_stand(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(0)
    await store_moved(connection, at, at, 20)
    await connection.execute("UPDATE schedule_cursor SET next_order_ms = NULL, tzdata = NULL")
    await planner(pool).step()
    assert await connection.fetchval("SELECT count(*) FROM due_queue WHERE scheduled_for = $1", at) == 20
    assert await editions(connection) == {tzdata_version()}


async def test_an_instant_that_moved_into_the_past_fires_once_and_late(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(-10)
    await store_moved(connection, at, at + HOUR)
    for _ in range(2):
        await walked(follower(pool))
        await planner(pool).step()
    assert [row[0] for row in await connection.fetch("SELECT scheduled_for FROM due_queue")] == [at]


async def test_planners_and_followers_at_once_plan_each_occurrence_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(-1)
    await store_moved(connection, at, at + HOUR, 300)
    await asyncio.gather(*(walked(follower(pool)) for _ in range(2)), *(planner(pool).step() for _ in range(2)))
    await planner(pool).step()
    counts = await connection.fetch("SELECT schedule_id, count(*) AS n FROM due_queue GROUP BY schedule_id")
    assert [row["n"] for row in counts] == [1] * 300


async def test_an_edit_meanwhile_is_passed_by_and_found_by_the_next_walk(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(90)
    schedules, _ = await store_moved(connection, at, at + HOUR, 3)
    async with connection.transaction():
        await connection.execute("SELECT FROM schedule_cursor WHERE schedule_id = $1 FOR UPDATE", schedules[0])
        assert await walked(follower(pool)) == 2
    assert await walked(follower(pool)) == 1


async def test_a_cursor_of_another_edition_that_somebody_has_is_not_planned_as_it_stands(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await store_moved(connection, in_minutes(60), in_minutes(-1))
    async with connection.transaction():
        await connection.execute("SELECT FROM schedule_cursor FOR UPDATE")
        await planner(pool).step()
    assert await editions(connection) == {OLD}
    assert await connection.fetchval("SELECT count(*) FROM due_queue") == 0


async def test_a_plan_made_before_the_move_is_not_written_after_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at = in_minutes(90)
    [schedule], _ = await store_moved(connection, at, in_minutes(0))
    cursors = PostgresCursors(pool)
    [stale] = await cursors.due_between(datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR, 10)
    assert await follower(pool).follow([CursorKey(TENANT, schedule)]) == 1
    written = await cursors.record_plans([plan(stale, datetime.now(UTC), in_minutes(1), StartTags())])
    assert written == 0
    assert await connection.fetchval("SELECT next_fire_at FROM schedule_cursor") == at


async def test_a_one_shot_that_waits_in_the_queue_moves_and_completes_its_schedule(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    at, was_at = in_minutes(40), in_minutes(0)
    once = definition(OneShotTrigger(f"{in_berlin(at):%Y-%m-%dT%H:%M:%S}"), tz="Europe/Berlin")
    [schedule] = await store_schedules(connection, TENANT, of=once)
    id_, instant = named(once, schedule, at - DAY)
    await connection.execute(
        "INSERT INTO due_queue (tenant_id, schedule_id, id, revision, scheduled_for, due_at, start_tag, is_last)"
        " VALUES ($1, $2, $3, 1, $4, $4, $4, true)",
        *(TENANT, schedule, id_, was_at),
    )
    await connection.execute("UPDATE schedule_cursor SET tzdata = $1", OLD)
    await walked(follower(pool))
    row = await connection.fetchrow("SELECT scheduled_for, is_last FROM due_queue")
    assert tuple(row) == (instant.at, True)
    assert await connection.fetchval("SELECT state FROM schedule") == "ACTIVE"


async def test_the_newest_edition_alive_leads_and_an_older_one_takes_over_when_it_is_gone(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    moves = PostgresZoneMoves(pool, DatabaseClock())
    assert await moves.leading("2026a") == "2026a"
    assert await moves.leading("2026b") == "2026b"
    assert await moves.leading("2026a") == "2026b"
    await connection.execute("UPDATE scheduler.tzdata_version_seen SET seen_at = now() - interval '2 minutes'")
    assert await moves.leading("2026a") == "2026a"


async def test_beside_a_newer_edition_this_one_neither_plans_nor_follows(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await PostgresZoneMoves(pool, DatabaseClock()).leading("9999z")
    await store_moved(connection, in_minutes(90), in_minutes(30))
    follow = follower(pool)
    assert (await follow.step()).cursor_count == 0
    assert follow.is_overtaken
    assert await editions(connection) == {OLD}
