"""The plans of following the tz database: by key, and bounded, on tables that the planner knows nothing about."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from tests.plans.test_dispatch_plans import NOW, ROWS, TENANT, indexes, leases, plan_of, tables_read_whole

__all__ = ["leases"]

OTHER = "9999z"


@pytest.fixture
async def planning_pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 1, hash_joins=True)
    yield opened
    await opened.close()


async def test_a_walk_reads_a_bounded_range_of_the_key(planning_pool: asyncpg.Pool, leases: tuple[Any, ...]) -> None:
    nodes = await plan_of(planning_pool, "visit_cursors", "", UUID(int=0), 100, OTHER, 20)
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"schedule_cursor_pkey"}
    assert [node["Actual Rows"] for node in nodes if node.get("Relation Name") == "schedule_cursor"] == [100]


async def test_cursors_and_what_they_have_queued_are_held_by_key(
    planning_pool: asyncpg.Pool, leases: tuple[Any, ...]
) -> None:
    tenants, schedules, _, _ = leases
    for name, last, keys in (
        ("hold_cursors", OTHER, {"schedule_pkey", "schedule_cursor_pkey"}),
        ("hold_queued_ahead", NOW - timedelta(days=1), {"due_queue_pkey"}),
    ):
        nodes = await plan_of(planning_pool, name, tenants, schedules, last)
        assert tables_read_whole(nodes) == set()
        assert indexes(nodes) == keys


@pytest.mark.parametrize("name", ["move_occurrences", "unplan_occurrences"])
async def test_moved_occurrences_are_found_by_key(
    planning_pool: asyncpg.Pool, leases: tuple[Any, ...], name: str
) -> None:
    tenants, schedules, ids, _ = leases
    instants = ([NOW] * ROWS, [NOW] * ROWS, [NOW] * ROWS, [False] * ROWS) if name == "move_occurrences" else ()
    nodes = await plan_of(planning_pool, name, tenants, schedules, ids, *instants)
    assert tables_read_whole(nodes) == set()
    assert indexes(nodes) == {"due_queue_pkey"}


async def test_what_exists_already_is_asked_by_key_of_one_partition(
    planning_pool: asyncpg.Pool, leases: tuple[Any, ...]
) -> None:
    tenants, schedules, ids, _ = leases
    nodes = await plan_of(planning_pool, "taken_occurrences", tenants, schedules, ids)
    assert tables_read_whole(nodes) == set()
    run = {node["Index Name"] for node in nodes if "Index Name" in node and node["Actual Loops"]}
    assert "due_queue_pkey" in run
    assert len(run) <= 3


async def test_the_list_of_moves_is_read_from_its_newest_end(
    planning_pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO scheduler.tzdata_move (tenant_id, schedule_id, version, occurrence_id, was_at)"
        " SELECT $1, gen_random_uuid(), '2099a', gen_random_uuid(), now() FROM generate_series(1, 300)",
        TENANT,
    )
    nodes = await plan_of(planning_pool, "latest_moves", 20)
    assert "tzdata_move_moved_at" in indexes(nodes)
    assert [node["Actual Rows"] for node in nodes if node.get("Relation Name") == "tzdata_move"] == [20]
