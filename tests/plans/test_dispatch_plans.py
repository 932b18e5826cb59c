"""The plans of the dispatcher's statements: index lookups only, whatever the statistics say.

The queue is filled without ANALYZE, as in life: PostgreSQL believes the tables to be empty, and would choose to read
them whole if the dispatcher's connections let it.
"""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.infra.postgres.arrays import array_text, instants_text
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.statements import statement
from tests.support.stored import store_due, store_schedules

TENANT = "acme"
ROWS = 500
NOW = datetime.now(UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 1)
    yield opened
    await opened.close()


@pytest.fixture
async def planning_pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 1, hash_joins=True)
    yield opened
    await opened.close()


@pytest.fixture
async def leases(connection: asyncpg.Connection) -> tuple[list[Any], ...]:
    schedules = await store_schedules(connection, TENANT, ROWS, planned_from=NOW)
    ids = await store_due(connection, TENANT, schedules, NOW)
    return [TENANT] * ROWS, schedules, ids, [0] * ROWS


async def plan_of(pool: asyncpg.Pool, name: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a statement, undo it, and return the nodes of the plan that ran."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement(name)}", *arguments)
        await transaction.rollback()
    return list(_nodes(json.loads(text)[0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def tables_read_whole(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


async def test_a_claim_walks_the_start_tags_and_looks_schedules_up_by_key(
    pool: asyncpg.Pool, leases: tuple[list[Any], ...]
) -> None:
    nodes = await plan_of(
        pool,
        "claim_occurrences",
        100,
        timedelta(seconds=1),
        timedelta(seconds=15),
        1,
        (NOW - timedelta(days=1)).timestamp(),
    )
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_start_tag", "schedule_pkey"}
    assert all(node["Actual Rows"] <= 100 for node in nodes if node.get("Relation Name") == "due_queue")


async def test_recording_finds_each_row_by_its_key(pool: asyncpg.Pool, leases: tuple[list[Any], ...]) -> None:
    ended = ["COMPLETED"] * ROWS, [None] * ROWS, [1] * ROWS, [NOW] * ROWS, [NOW] * ROWS, [3] * ROWS
    nothing = [None] * ROWS, [None] * ROWS, [None] * ROWS
    nodes = await plan_of(pool, "record_ended", *leases, *ended, *nothing)
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_pkey"}


async def test_what_was_delivered_is_found_by_its_place(
    pool: asyncpg.Pool, connection: asyncpg.Connection, leases: tuple[list[Any], ...]
) -> None:
    columns = await connection.fetchrow(
        "SELECT array_agg(ctid)::text, array_agg(id)::text, array_agg(lease_token)::text, array_agg(1)::text"
        " FROM scheduler.due_queue"
    )
    nodes = await plan_of(pool, "record_delivered", *columns, [NOW], [NOW], [3], "{}", [])
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == set()
    assert [node["Actual Rows"] for node in nodes if node["Node Type"] == "Tid Scan"] == [1]


async def test_postponing_finds_each_row_by_its_key(pool: asyncpg.Pool, leases: tuple[list[Any], ...]) -> None:
    nodes = await plan_of(
        pool,
        "record_postponed",
        *leases,
        [1] * ROWS,
        [NOW] * ROWS,
        [3] * ROWS,
        [NOW] * ROWS,
        ["no answer"] * ROWS,
        [None] * ROWS,
        [None] * ROWS,
        [True] * ROWS,
        [False] * ROWS,
    )
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_pkey"}


async def test_asking_for_turns_finds_each_line_by_its_schedule(
    pool: asyncpg.Pool, leases: tuple[list[Any], ...]
) -> None:
    wait = [None, timedelta(seconds=1)] * (ROWS // 2)
    looked, decided = (
        await plan_of(pool, "look_at_lines", *leases, NOW),
        await plan_of(pool, "decide_lines", *leases, wait),
    )
    for nodes in (looked, decided):
        assert tables_read_whole(nodes) == set()
        assert indexes(nodes) == {"due_queue_pkey"}


async def test_looking_at_a_long_line_stops_where_it_no_longer_matters(
    pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    [schedule] = await store_schedules(connection, TENANT)
    ids = [
        (await store_due(connection, TENANT, [schedule], NOW + timedelta(milliseconds=number)))[0]
        for number in range(ROWS)
    ]
    await connection.execute("UPDATE due_queue SET lease_until = now() + interval '1 min' WHERE id = $1", ids[-1])
    last = ([TENANT], [schedule], ids[-1:], [0])
    nodes = await plan_of(pool, "look_at_lines", *last, NOW + timedelta(minutes=1))
    assert max(node["Actual Rows"] for node in nodes) == 2


async def test_waking_reads_the_lines_that_were_freed_alone(pool: asyncpg.Pool, leases: tuple[list[Any], ...]) -> None:
    tenants, schedules, *_ = leases
    nodes = await plan_of(pool, "wake_lines", tenants[:5], schedules[:5], MISFIRE_THRESHOLD)
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_pkey"}


@pytest.mark.parametrize("name", ["renew_leases", "release_leases", "put_off_occurrences"])
async def test_leases_are_found_by_key(pool: asyncpg.Pool, leases: tuple[list[Any], ...], name: str) -> None:
    seconds = timedelta(seconds=15)
    further = {"renew_leases": [seconds], "put_off_occurrences": [[seconds] * ROWS]}.get(name, [])
    nodes = await plan_of(pool, name, *leases, *further)
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_pkey"}


async def test_planning_reads_one_range_of_cursors(planning_pool: asyncpg.Pool, leases: tuple[list[Any], ...]) -> None:
    nodes = await plan_of(planning_pool, "cursors_due", NOW - timedelta(days=1), NOW + timedelta(minutes=2), 100)
    assert indexes(nodes) == {"schedule_cursor_next_fire_at"}
    assert tables_read_whole(nodes) == set()


async def test_materialising_finds_cursors_by_key_and_joins_without_repeating(
    planning_pool: asyncpg.Pool, connection: asyncpg.Connection, leases: tuple[list[Any], ...]
) -> None:
    tenants, schedules, ids, _ = leases
    cursors = await connection.fetch("SELECT next_fire_at FROM schedule_cursor ORDER BY schedule_id")
    before = [row["next_fire_at"] for row in cursors]
    planned = instants_text(before)
    after = instants_text([at + timedelta(minutes=1) for at in before])
    ones = array_text([1] * ROWS)
    nodes = await plan_of(
        planning_pool,
        "materialise_occurrences",
        *(array_text(tenants), array_text(sorted(schedules)), ones, planned, after, [None] * ROWS, ones, ones, ones),
        *(array_text(["2026a"] * ROWS), array_text(range(1, ROWS + 1)), array_text(ids), planned, planned, planned),
        *(array_text([False] * ROWS), "{}", "{}", "{}", "{}", "{}"),
    )
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"schedule_cursor_pkey"}
    assert all(node["Actual Loops"] <= ROWS for node in nodes)


async def test_leasing_changes_no_index(
    connection: asyncpg.Connection, pool: asyncpg.Pool, leases: tuple[list[Any], ...]
) -> None:
    """A lease is a HOT update: as long as that holds, a claim writes the row and nothing else."""
    indexed = await connection.fetch(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = 'due_queue'::regclass"
    )
    predicates = await connection.fetch(
        "SELECT indexrelid FROM pg_index WHERE indrelid = 'due_queue'::regclass AND indpred IS NOT NULL"
    )
    assert {row["attname"] for row in indexed}.isdisjoint({"lease_until", "lease_token", "leased_by", "admitted_at"})
    assert predicates == []


async def test_reading_weights_costs_by_the_tenants_that_differ_however_many_are_stored(
    connection: asyncpg.Connection, planning_pool: asyncpg.Pool
) -> None:
    await connection.execute(
        "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at)"
        " SELECT 't' || n, CASE WHEN n % 1000 = 0 THEN 3 ELSE 1 END, now(), now() FROM generate_series(1, 20000) AS n"
    )
    nodes = await plan_of(planning_pool, "read_weights", "", 1_000)
    [scan] = [node for node in nodes if node.get("Relation Name") == "tenant"]
    assert scan["Index Name"] == "tenant_weighted"
    assert scan["Actual Rows"] == 20
    assert nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"] < 40


async def test_counting_schedules_reads_their_states_alone(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    await connection.execute("SET search_path = scheduler")
    await connection.execute(
        "INSERT INTO schedule (tenant_id, id, name, trigger_type, target_kind, definition, created_at, updated_at,"
        " created_by) SELECT 'acme', gen_random_uuid(), 'n', 'CRON', 'EVENT', json_build_object('payload',"
        " repeat('x', 300)), now(), now(), 'tests' FROM generate_series(1, 20000)"
    )
    await connection.execute("VACUUM schedule")
    nodes = await plan_of(pool, "count_schedules")
    [scan] = [node for node in nodes if node.get("Relation Name") == "schedule"]
    assert (scan["Node Type"], scan["Index Name"], scan["Heap Fetches"]) == ("Index Only Scan", "schedule_state", 0)
    assert scan["Shared Hit Blocks"] + scan["Shared Read Blocks"] < 60
    assert await connection.fetchval("SELECT pg_relation_size('schedule') / 8192") > 1_000


async def test_forgetting_finds_the_oldest_by_age_and_a_part_at_a_time(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await connection.execute("SET search_path = scheduler")
    await connection.execute(
        "INSERT INTO idempotent_request (tenant_id, key, fingerprint, created_at)"
        " SELECT 'acme', n, '', now() - n * interval '1 s' FROM generate_series(1, 5000) AS n"
    )
    await connection.execute(
        "INSERT INTO tzdata_move (tenant_id, schedule_id, version, occurrence_id, was_at, moved_at)"
        " SELECT 'acme', gen_random_uuid(), '2026a', gen_random_uuid(), now(), now() - n * interval '1 s'"
        " FROM generate_series(1, 5000) AS n"
    )
    requests = await plan_of(pool, "forget_requests", timedelta(0), 100)
    assert indexes(requests) == {"idempotent_request_created_at", "idempotent_request_pkey"}
    moves = await plan_of(pool, "forget_moves", timedelta(0), 100)
    assert indexes(moves) == {"tzdata_move_moved_at", "tzdata_move_pkey"}
    for nodes in (requests, moves):
        assert tables_read_whole(nodes) == set()
        assert max(node["Actual Rows"] * node["Actual Loops"] for node in nodes) == 100


async def test_strays_are_found_by_their_end(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """A function has no plan to look at; what it read is counted as it reads it."""
    await connection.execute("SET search_path = scheduler")
    await connection.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,"
        " fired_at, ended_at) SELECT 'acme', ('01000000' || substr(gen_random_uuid()::text, 9))::uuid,"
        " gen_random_uuid(), 'BACKFILL', 1, now(), now(), 'COMPLETED', 1, now(), now() - n * interval '1 s'"
        " FROM generate_series(1, 5000) AS n"
    )
    async with pool.acquire() as dispatcher, dispatcher.transaction():
        assert await dispatcher.fetchval("SELECT prune_strays(now() - interval '4990.5 s', 5000)") == 10
        read = await dispatcher.fetchrow(
            "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relname = 'ledger_stray'"
        )
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] <= 20
