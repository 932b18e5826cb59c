"""The plans of templates: a line costs look-ups by key, however many instances and tenants are stored."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.infra.postgres.pool import tenant_statement
from scheduler_domain.infra.postgres.statements import statement
from tests.plans.test_api_plans import api_connection, plan_of, stored

__all__ = ["api_connection", "stored"]

Connection = asyncpg.Connection
BUFFERS_A_ROW = 60
NOW = datetime.now(UTC)


@pytest.fixture
async def instances(connection: Connection, stored: UUID) -> list[UUID]:
    """Each stored schedule as an instance of a template; three schedules of tenant t1 that nothing is under way of."""
    await connection.execute(
        "INSERT INTO template_instance (tenant_id, template, key, schedule_id, template_version, parameters)"
        " SELECT tenant_id, 'birthday', key, id, 1, '{}' FROM schedule"
    )
    await connection.execute("UPDATE schedule_cursor SET next_fire_at = now() + interval '30 d'")
    rows = await connection.fetch("SELECT id FROM schedule WHERE tenant_id = 't1' ORDER BY id LIMIT 3")
    ids = [row["id"] for row in rows]
    await connection.execute("DELETE FROM due_queue WHERE schedule_id = ANY ($1)", ids)
    await connection.execute("DELETE FROM ledger WHERE schedule_id = ANY ($1)", ids)
    return ids


def assert_looked_up(nodes: list[dict[str, Any]], rows: int) -> None:
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []
    buffers = nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"]
    assert buffers < BUFFERS_A_ROW * rows, buffers


async def test_finding_keys_is_a_look_up_each(api_connection: Connection, instances: list[UUID]) -> None:
    nodes = await plan_of(api_connection, tenant_statement("find_instances"), "birthday", ["k1", "k2", "none"])
    assert_looked_up(nodes, rows=3)


async def test_a_page_of_instances_costs_by_the_page(api_connection: Connection, instances: list[UUID]) -> None:
    nodes = await plan_of(api_connection, tenant_statement("read_instances"), "birthday", "k1", True, 3, 0)
    assert nodes[0]["Actual Rows"] == 3
    assert_looked_up(nodes, rows=3)


async def test_holding_instances_is_a_few_look_ups_each(api_connection: Connection, instances: list[UUID]) -> None:
    nodes = await plan_of(api_connection, statement("hold_instances"), instances)
    assert nodes[0]["Actual Rows"] == 3
    assert_looked_up(nodes, rows=3)


async def test_changing_quiet_instances_is_a_few_look_ups_each(
    api_connection: Connection, connection: Connection, instances: list[UUID]
) -> None:
    keys = [
        await connection.fetchval("SELECT key FROM template_instance WHERE schedule_id = $1", id_) for id_ in instances
    ]
    text, document, later = ["x"] * 3, ["{}"] * 3, [NOW + timedelta(days=9)] * 3
    nodes = await plan_of(
        api_connection,
        statement("revise_instances"),
        "birthday", 2, NOW, NOW - timedelta(hours=50), NOW + timedelta(minutes=1),
        keys, instances, document, text, document, text, text, document, document, later, [1] * 3, text,
        NOW + timedelta(days=32), [1] * 3, document,
    )  # fmt: skip
    assert nodes[0]["Actual Rows"] == 3
    assert_looked_up(nodes, rows=3)


async def test_storing_instances_touches_nothing_but_their_own_rows(
    api_connection: Connection, instances: list[UUID]
) -> None:
    text, document, later = ["x"] * 3, ["{}"] * 3, [NOW + timedelta(days=9)] * 3
    ids = [UUID(int=number) for number in range(3)]
    nodes = await plan_of(
        api_connection,
        tenant_statement("accept_instances"),
        "birthday", 1, True, NOW, "ada",
        ["new-1", "new-2", "new-3"], ids, document, text, document, text, text, document, ["ACTIVE"] * 3, document,
        later, [None] * 3, [0] * 3, [1] * 3, text, [], [], [], [], [], [], False,
    )  # fmt: skip
    assert nodes[0]["Actual Rows"] == 3
    assert_looked_up(nodes, rows=3)
