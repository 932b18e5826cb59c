"""The plans of the API's reads and writes: as many look-ups as there are answers, whatever is stored.

The tables are filled after the first statement was planned, as in life: a plan made on empty tables stays.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Select

from scheduler_domain.application.ports.dead_letters import DeadLettersWanted
from scheduler_domain.application.ports.occurrences import OccurrencesWanted
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.infra.postgres import composed
from scheduler_domain.infra.postgres.dead_letters import _oldest
from scheduler_domain.infra.postgres.occurrence_lists import _count, _page
from scheduler_domain.infra.postgres.pool import _SESSION, tenant_statement
from scheduler_domain.infra.postgres.statements import statement

SCHEDULES, INSTANTS_EACH, TENANTS = 400, 5, 5
MOST_BUFFERS = 120


@pytest.fixture
async def api_connection(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection just as the API's pool opens them."""
    connection = await asyncpg.connect(database, ssl=False, server_settings=dict(_SESSION))
    yield connection
    await connection.close()


@pytest.fixture
async def stored(connection: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    """Several tenants' schedules, queues and histories; the id of one schedule of tenant t1."""
    await connection.execute("SET search_path = scheduler")
    await connection.execute(
        "INSERT INTO schedule (tenant_id, id, key, name, trigger_type, target_kind, definition, created_at, updated_at,"
        " created_by) SELECT 't' || t, md5(t || '-' || n)::uuid, 'k' || n, 'n' || n, 'CRON', 'EVENT', '{}', now(),"
        " now(), 'ada' FROM generate_series(1, $1::int) AS t, generate_series(1, $2::int) AS n",
        TENANTS,
        SCHEDULES,
    )
    await connection.execute(
        "INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at)"
        " SELECT tenant_id, id, 1, '{}', now() FROM schedule"
    )
    for table, columns, values in (
        ("due_queue", "start_tag", "now() + m * interval '1 h'"),
        ("ledger", "status, fired_at, attempt_count, ended_at", "'COMPLETED', now(), 1, now()"),
    ):
        await connection.execute(
            f"INSERT INTO {table} (tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, {columns})"
            " SELECT tenant_id, id, gen_random_uuid(), 'SCHEDULED', 1, now(), now() + m * interval '1 h',"
            f" {values} FROM schedule, generate_series(1, $1::int) AS m",
            INSTANTS_EACH,
        )
    schedule_id = await connection.fetchval("SELECT id FROM schedule WHERE tenant_id = 't1' LIMIT 1")
    assert isinstance(schedule_id, UUID)
    return schedule_id


async def plan_of(
    connection: "asyncpg.Connection[asyncpg.Record]", text: str, *arguments: object
) -> list[dict[str, Any]]:
    """Run the statement as tenant t1, undo it, and return the nodes of its plan."""
    return await _plan_of(connection, text, "t1", *arguments)


async def composed_plan_of(
    connection: "asyncpg.Connection[asyncpg.Record]", query: Select[Any]
) -> list[dict[str, Any]]:
    """Run a query of tenant t1 that was composed, and return the nodes of its plan."""
    text, values = composed.compiled(query)
    return await _plan_of(connection, text, *values)


async def _plan_of(
    connection: "asyncpg.Connection[asyncpg.Record]", text: str, *arguments: object
) -> list[dict[str, Any]]:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT set_config('app.tenant_id', 't1', true)")
    explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *arguments)
    await transaction.rollback()
    return list(_nodes(json.loads(explained)[0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def assert_looked_up(nodes: list[dict[str, Any]]) -> None:
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []
    buffers = nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"]
    assert buffers < MOST_BUFFERS, buffers


@pytest.mark.parametrize("name", ["read_schedule", "read_schedule_by_key", "count_runs"])
async def test_one_schedule_is_a_few_look_ups(
    api_connection: "asyncpg.Connection[asyncpg.Record]", stored: UUID, name: str
) -> None:
    argument = "k7" if name == "read_schedule_by_key" else stored
    assert_looked_up(await plan_of(api_connection, tenant_statement(name), argument))


@pytest.mark.parametrize("name", ["hold_schedule", "hold_occurrences", "last_occurrence"])
async def test_holding_a_schedule_is_a_few_look_ups(
    api_connection: "asyncpg.Connection[asyncpg.Record]", stored: UUID, name: str
) -> None:
    further = {"hold_occurrences": [1], "last_occurrence": [True]}.get(name, [])
    assert_looked_up(await plan_of(api_connection, statement(name), stored, *further))


async def test_what_is_withdrawn_is_found_by_key_and_compared_with_nothing_else(
    connection: "asyncpg.Connection[asyncpg.Record]",
    api_connection: "asyncpg.Connection[asyncpg.Record]",
    stored: UUID,
) -> None:
    rows = await connection.fetch("SELECT id FROM due_queue WHERE tenant_id = 't1' AND schedule_id = $1", stored)
    ids, at = [row["id"] for row in rows], datetime.now(UTC)
    nodes = await plan_of(api_connection, statement("withdraw_occurrences"), stored, ids[:2], ids[2:], "test", at)
    assert [node["Node Type"] for node in nodes if node["Node Type"] == "Seq Scan" or "Filter" in node] == []
    deleted = [node["Actual Rows"] for node in nodes if node["Node Type"] == "Index Scan"]
    assert sum(deleted) == len(ids) == INSTANTS_EACH


async def test_whether_anybody_has_to_let_go_is_a_few_look_ups(
    api_connection: "asyncpg.Connection[asyncpg.Record]", stored: UUID
) -> None:
    assert_looked_up(await plan_of(api_connection, tenant_statement("revocation_pending"), [stored]))


async def test_a_page_of_schedules_costs_by_the_page(
    api_connection: "asyncpg.Connection[asyncpg.Record]", stored: UUID
) -> None:
    assert_looked_up(await plan_of(api_connection, statement("read_schedules"), [stored]))


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED, Status.CANCELLED])
@pytest.mark.parametrize("list_of", [_count, _page])
async def test_what_did_not_complete_is_found_by_its_status(
    connection: "asyncpg.Connection[asyncpg.Record]",
    api_connection: "asyncpg.Connection[asyncpg.Record]",
    stored: UUID,
    status: Status,
    list_of: Callable[[str, OccurrencesWanted], Select[Any]],
) -> None:
    await end_otherwise(connection, stored, status)
    nodes = await composed_plan_of(api_connection, list_of("t1", OccurrencesWanted(status=status)))
    assert_ledger_rows_read(nodes, INSTANTS_EACH)


async def test_dead_letters_are_found_by_their_status(
    connection: "asyncpg.Connection[asyncpg.Record]",
    api_connection: "asyncpg.Connection[asyncpg.Record]",
    stored: UUID,
) -> None:
    await end_otherwise(connection, stored, Status.FAILED)
    nodes = await composed_plan_of(api_connection, _oldest("t1", DeadLettersWanted(), 100))
    assert_ledger_rows_read(nodes, INSTANTS_EACH)


async def end_otherwise(connection: "asyncpg.Connection[asyncpg.Record]", schedule_id: UUID, status: Status) -> None:
    """Make all that has ended of one schedule end as this."""
    await connection.execute(
        "UPDATE ledger SET status = $2, reason = 'because' WHERE schedule_id = $1", schedule_id, status.value
    )


def assert_ledger_rows_read(nodes: list[dict[str, Any]], expected: int) -> None:
    scans = [node for node in nodes if node.get("Relation Name", "").startswith("ledger")]
    read = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans)
    assert (read, {node["Node Type"] for node in scans} & {"Seq Scan"}) == (expected, set())
