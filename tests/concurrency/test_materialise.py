"""Planning on PostgreSQL: exactly once, whoever plans and however often."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.materialise_occurrences import MISSED_ROWS_PER_STEP, MaterialiseOccurrences
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.planning import plan
from scheduler_domain.domain.schedule import CronTrigger, OneShotTrigger, RruleTrigger
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatch_pool import IDLE_IN_TRANSACTION, open_dispatch_pool
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.processes import Processes
from tests.support.stored import FROM_A_NEWER_RELEASE, definition, store_schedules
from tests.support.waiting import eventually

TENANT = "acme"
WINDOW = timedelta(seconds=60)


PLANNING = """
import asyncio, sys
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.leadership import PostgresLeadership

async def plan_for_ever():
    pool = await open_dispatch_pool(sys.argv[1], 1)
    async with PostgresLeadership(pool).turn() as is_leader:
        print("leading:", is_leader)
        await asyncio.Event().wait()

asyncio.run(plan_for_ever())
"""


class AlwaysLeading:
    """What a doubled lock amounts to: everybody is told to plan."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        yield True

    async def resign(self) -> None:
        return


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 6, hash_joins=True)
    yield opened
    await opened.close()


def planner(pool: asyncpg.Pool, leadership: object = None) -> MaterialiseOccurrences:
    return MaterialiseOccurrences(
        PostgresCursors(pool),
        leadership or AlwaysLeading(),  # type: ignore[arg-type]
        DatabaseClock(),
        PrometheusMeasurements(CollectorRegistry()),
        UNTRACED,
        WINDOW,
        FollowTzdata(PostgresZoneMoves(pool, DatabaseClock()), DatabaseClock(), StartTags()),
        StartTags(),
    )


async def counts(connection: asyncpg.Connection) -> tuple[int, int]:
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM scheduler.due_queue) AS due, (SELECT count(*) FROM scheduler.ledger) AS ended"
    )
    return row["due"], row["ended"]


async def test_planners_that_all_believe_to_lead_plan_each_instant_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    await store_schedules(connection, TENANT, 200, planned_from=long_ago)
    results = await asyncio.gather(*(planner(pool).step() for _ in range(4)))
    assert results == [False] * 4
    due, ended = await counts(connection)
    assert due + ended == pytest.approx(200 * 11, abs=200)
    twice = await connection.fetch(
        "SELECT schedule_id, scheduled_for FROM (SELECT schedule_id, scheduled_for FROM scheduler.due_queue"
        " UNION ALL SELECT schedule_id, scheduled_for FROM scheduler.ledger) AS planned"
        " GROUP BY schedule_id, scheduled_for HAVING count(*) > 1"
    )
    assert twice == []
    assert await connection.fetchval("SELECT min(next_fire_at) > now() FROM scheduler.schedule_cursor")


async def test_what_was_missed_is_planned_a_bounded_part_at_a_time_and_in_the_end_all_of_it(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """A thousand schedules may have missed a million instants: what is still to come must not wait for all of them."""
    schedules = 2 + MISSED_ROWS_PER_STEP // 1_000
    away_for = timedelta(minutes=1_100)
    await store_schedules(connection, TENANT, schedules, planned_from=datetime.now(UTC) - away_for)
    planning = planner(pool)
    assert await planning.plan_due()
    assert MISSED_ROWS_PER_STEP <= sum(await counts(connection)) < MISSED_ROWS_PER_STEP + 2_000
    while await planning.plan_due():
        pass
    assert sum(await counts(connection)) == pytest.approx(schedules * 1_101, abs=schedules * 2)


async def test_an_edit_between_reading_and_writing_keeps_the_plan_from_being_written(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    await store_schedules(connection, TENANT, planned_from=now)
    cursors = PostgresCursors(pool)
    read = await cursors.due_between(now - WINDOW, now + WINDOW * 2, 10)
    await connection.execute("UPDATE scheduler.schedule_cursor SET revision = 2")
    assert await cursors.record_plans([plan(read[0], now, now + WINDOW * 2, StartTags())]) == 0
    assert await counts(connection) == (0, 0)


async def test_missed_instants_are_recorded_and_the_latest_is_due(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await store_schedules(connection, TENANT, planned_from=datetime.now(UTC) - timedelta(hours=1))
    await planner(pool).step()
    skipped = await connection.fetch("SELECT reason FROM scheduler.ledger WHERE status = 'SKIPPED'")
    assert len(skipped) in {58, 59, 60}
    assert {row["reason"] for row in skipped} == {"misfire-coalesced"}


async def test_a_schedule_whose_window_is_over_is_completed_without_an_occurrence(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    one_shot = definition(OneShotTrigger(past.isoformat()))
    await store_schedules(connection, TENANT, of=one_shot, planned_from=past - timedelta(minutes=1))
    await planner(pool).step()
    assert await connection.fetchval("SELECT reason FROM scheduler.ledger") == "misfire-window"
    assert await connection.fetchval("SELECT state FROM scheduler.schedule") == "COMPLETED"


async def test_a_rule_that_can_no_longer_be_planned_is_set_aside_and_the_rest_goes_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    [broken, *_] = await store_schedules(connection, TENANT, 3, planned_from=now)
    await connection.execute(
        "UPDATE scheduler.schedule_cursor SET rule = jsonb_set(rule::jsonb, '{tz}', '\"Atlantis/Gone\"')::json"
        " WHERE schedule_id = $1",
        broken,
    )
    await planner(pool).step()
    assert (await counts(connection))[0] >= 2
    row = await connection.fetchrow("SELECT state, state_reason FROM scheduler.schedule WHERE id = $1", broken)
    assert row["state"] == "DISABLED"
    assert "Atlantis/Gone" in row["state_reason"]


async def test_a_rule_of_a_newer_release_is_left_to_it_said_once_and_the_rest_goes_on(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    [unknown, *_] = await store_schedules(connection, TENANT, 3, planned_from=datetime.now(UTC))
    await connection.execute(FROM_A_NEWER_RELEASE, unknown)
    await connection.execute("UPDATE schedule_cursor SET tzdata = 'another'")  # these are followed first
    with capture_logs() as logs:
        for _ in range(2):
            await planner(pool).step()
    assert [log["schedule_id"] for log in logs if log["event"] == "rule.unreadable"] == [str(unknown)]
    planned = await connection.fetch("SELECT DISTINCT schedule_id FROM due_queue")
    assert len(planned) == 2
    assert unknown not in {row["schedule_id"] for row in planned}
    assert await connection.fetchval("SELECT count(*) FROM schedule WHERE state = 'ACTIVE'") == 3


async def test_a_counted_rule_planned_step_by_step_ends_after_its_count(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    rule = RruleTrigger("FREQ=SECONDLY;COUNT=40", start.replace(tzinfo=None).isoformat())
    await store_schedules(connection, TENANT, of=definition(rule), planned_from=start)
    await planner(pool).step()
    assert sum(await counts(connection)) == 40
    assert await connection.fetchval("SELECT next_fire_at FROM scheduler.schedule_cursor") is None


@pytest.mark.parametrize("is_edited", [True, False])
async def test_what_fired_before_an_edit_of_the_zone_does_not_fire_again_at_the_same_local_time(
    connection: asyncpg.Connection, pool: asyncpg.Pool, is_edited: bool
) -> None:
    """Nobody looks into the ledger for schedules that were not edited so: their names do not come round again."""
    now = datetime.now(UTC)
    soon = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    moved_here = definition(CronTrigger(f"{soon.minute} {soon.hour} * * *"), tz="UTC")
    [schedule] = await store_schedules(connection, TENANT, of=moved_here, planned_from=now)
    id_ = occurrence_id(TENANT, schedule, "SCHEDULED", f"{soon:%Y-%m-%dT%H:%M:%S}", int(soon.timestamp() * 1000))
    await connection.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,"
        " fired_at, ended_at) VALUES ($1, $2, $3, 'SCHEDULED', 1, $4, $4, 'COMPLETED', 1, $4, $4)",
        TENANT,
        id_,
        schedule,
        soon - timedelta(hours=9),
    )
    if is_edited:
        await connection.execute("UPDATE schedule_cursor SET repeats_until = now() + interval '27 h', run_count = 1")
    await planner(pool).step()
    planned = await connection.fetch("SELECT id FROM due_queue")
    assert [row["id"] for row in planned] == ([] if is_edited else [id_])
    cursor = await connection.fetchrow("SELECT next_fire_at, run_count FROM schedule_cursor")
    assert cursor["next_fire_at"] == soon + timedelta(days=1)
    assert cursor["run_count"] == 1


async def test_a_planner_that_is_stopped_in_its_turn_leaves_planning_to_others_before_what_is_planned_runs_out(
    connection: asyncpg.Connection, pool: asyncpg.Pool, database: str, processes: Processes
) -> None:
    await store_schedules(connection, TENANT, planned_from=datetime.now(UTC))
    sleeper = processes.python("-c", PLANNING, database)
    await sleeper.wait_for_line("leading: True", within=20)
    sleeper.send(signal.SIGSTOP)
    awake = planner(pool, PostgresLeadership(pool))
    await awake.step()
    assert await counts(connection) == (0, 0), "the one that was stopped has the turn"

    async def is_planned() -> bool:
        await awake.step()
        return await counts(connection) != (0, 0)

    await eventually(is_planned, within=IDLE_IN_TRANSACTION.total_seconds() + 5)


async def bound_idle_transactions(pool: asyncpg.Pool, by: timedelta) -> None:
    for held in [await pool.acquire() for _ in range(pool.get_size())]:
        await held.execute(f"SET idle_in_transaction_session_timeout = {by // timedelta(milliseconds=1)}")
        await pool.release(held)


async def test_after_a_turn_that_stood_still_for_too_long_the_next_one_is_as_ever(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await bound_idle_transactions(pool, timedelta(milliseconds=100))
    leading, size = PostgresLeadership(pool, said_every=timedelta(hours=1)), pool.get_size()

    async def stand_still() -> None:
        async with leading.turn() as is_leader:
            assert is_leader
            await eventually(lambda: pool.get_size() < size, within=5)

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await stand_still()
    async with leading.turn() as is_leader:
        assert is_leader


async def test_a_turn_lasts_however_long_planning_takes(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    short = timedelta(milliseconds=300)
    await bound_idle_transactions(pool, short)
    began = time.monotonic()
    async with PostgresLeadership(pool, said_every=short / 4).turn() as leads:
        assert leads

        async def others_lead() -> bool:
            async with PostgresLeadership(pool).turn() as is_leader:
                return is_leader

        await eventually(lambda: time.monotonic() - began > 4 * short.total_seconds(), within=10)
        assert not await others_lead()
    assert await others_lead()


async def test_only_one_of_two_planners_has_the_turn(pool: asyncpg.Pool) -> None:
    async with PostgresLeadership(pool).turn() as first, PostgresLeadership(pool).turn() as second:
        assert (first, second) == (True, False)
    async with PostgresLeadership(pool).turn() as again:
        assert again
