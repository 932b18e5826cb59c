"""No byte of another tenant: what the database refuses by itself, and what the API answers to those who probe."""

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from scheduler_domain.infra.postgres import pool as pools
from scheduler_domain.infra.postgres.pool import (
    AS_PLATFORM,
    AS_TENANT,
    PlatformStatement,
    TenantStatement,
    open_tenant_pool,
    platform_statement,
    tenant_statement,
)
from tests.integration.api_server import RunningApi, definition

Connection = asyncpg.Connection
SQL = Path(pools.__file__).parent / "sql"
TENANT_STATEMENTS = sorted(path.stem for path in SQL.glob("*.sql") if AS_TENANT in path.read_text(encoding="utf-8"))
PLATFORM_STATEMENTS = sorted(path.stem for path in SQL.glob("*.sql") if AS_PLATFORM in path.read_text(encoding="utf-8"))
_READS_TENANTS = re.compile(r"Scan using \w+ on tenant\b")
_READS = re.compile(r"(Scan|Scan using \w+) on (schedule|due_queue|ledger|attempt|idempotent_request)")
_READING = {"read_schedule", "read_schedule_by_key", "read_occurrence", "count_runs", "find_answer", "trigger_schedule"}
TENANT_TABLES = ["schedule", "schedule_cursor", "due_queue", "ledger", "attempt", "revocation", "idempotent_request"]


async def created(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/schedules", json=definition(**more))
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def app(database: str) -> Any:
    """A connection as the API has it, and no tenant set."""
    connection = await asyncpg.connect(
        database, ssl=False, server_settings={"role": "scheduler_app", "search_path": "scheduler"}
    )
    yield connection
    await connection.close()


async def test_another_tenants_things_are_not_there(api: RunningApi) -> None:
    acme, other = await api.caller("acme"), await api.caller("other")
    schedule = await created(acme, key="daily", trigger={"type": "CRON", "cron": "* * * * * *"})
    path = f"/schedules/{schedule['id']}"
    manual = (await acme.post(f"{path}/trigger")).json()
    probes = [
        other.get(path),
        other.get("/schedules/by-key/daily"),
        other.patch(path, json={"name": "x"}),
        other.patch(path, json={"name": "x"}, headers={"If-Match": '"99"'}),
        other.put(path, json=definition()),
        other.delete(path),
        other.delete(path, headers={"If-Match": '"99"'}),
        other.post(f"{path}/pause"),
        other.post(f"{path}/resume"),
        other.post(f"{path}/trigger"),
        other.get(f"{path}/next"),
        other.get(f"{path}/occurrences"),
        other.get(f"/occurrences/{manual['id']}"),
    ]
    answers = await asyncio.gather(*probes)
    assert {answer.status_code for answer in answers} == {404}
    assert all("acme" not in answer.text and schedule["name"] not in answer.text for answer in answers)
    assert (await other.get("/schedules")).json()["total"] == 0
    assert (await other.get("/occurrences")).json()["total"] == 0
    assert (await other.get("/occurrences", params={"scheduleId": schedule["id"]})).json()["items"] == []
    assert (await acme.get(path)).json() == schedule


async def test_tenants_may_have_the_same_key(api: RunningApi) -> None:
    acme, other = await api.caller("acme"), await api.caller("other")
    first, second = await created(acme, key="daily"), await created(other, key="daily")
    assert first["id"] != second["id"]
    upserted = await other.put("/schedules/by-key/daily", json=definition(name="Mine"))
    assert (upserted.status_code, upserted.json()["id"]) == (200, second["id"])
    assert (await acme.get("/schedules/by-key/daily")).json()["name"] == first["name"]


async def test_many_tenants_at_once_each_see_their_own(api: RunningApi) -> None:
    """Connections change hands all the time; nothing of one request may be left on one for the next."""
    clients = {f"t{number}": await api.caller(f"t{number}") for number in range(8)}
    made = {tenant: await created(client, name=tenant) for tenant, client in clients.items()}

    async def look(tenant: str) -> set[str]:
        client = clients[tenant]
        answer = await client.get(f"/schedules/{made[tenant]['id']}")
        assert answer.status_code == 200, answer.text
        one = answer.json()["tenantId"]
        many = {item["tenantId"] for item in (await client.get("/schedules")).json()["items"]}
        await client.patch(f"/schedules/{made[tenant]['id']}", json={"description": "x"})
        return many | {one}

    for tenant, seen in zip(
        [*clients] * 4, await asyncio.gather(*[look(tenant) for tenant in [*clients] * 4]), strict=True
    ):
        assert seen == {tenant}


async def test_without_a_tenant_the_api_role_sees_and_writes_nothing(
    api: RunningApi, admin: httpx.AsyncClient, app: Connection
) -> None:
    await created(admin, trigger={"type": "CRON", "cron": "* * * * * *"})
    for table in TENANT_TABLES:
        assert await app.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("INSERT INTO revocation (tenant_id, schedule_id) VALUES ('acme', gen_random_uuid())")
    assert await app.execute("UPDATE schedule SET name = 'x'") == "UPDATE 0"
    assert await app.execute("DELETE FROM due_queue") == "DELETE 0"


async def test_as_one_tenant_the_api_role_cannot_write_as_another(app: Connection) -> None:
    transaction = app.transaction()
    await transaction.start()
    await app.execute("SELECT set_config('app.tenant_id', 'acme', true)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("INSERT INTO revocation (tenant_id, schedule_id) VALUES ('other', gen_random_uuid())")
    await transaction.rollback()


async def test_the_tenant_does_not_outlive_the_statement(
    database: str, api: RunningApi, admin: httpx.AsyncClient
) -> None:
    schedule = await created(admin)
    async with open_tenant_pool(database, size=1) as pool:
        read = tenant_statement("read_schedule")
        assert await pool.row(read, "acme", schedule["id"]) is not None
        assert await pool.platform_value("SELECT current_setting('app.tenant_id', true)") in {"", None}
        async with pool.transaction("acme") as connection:
            assert await connection.fetchval("SELECT count(*) FROM schedule") == 1
        assert await pool.platform_value("SELECT count(*) FROM schedule") == 0
        assert await pool.row(read, "other", schedule["id"]) is None


async def test_a_failed_transaction_leaves_no_tenant_behind(
    database: str, api: RunningApi, admin: httpx.AsyncClient
) -> None:
    await created(admin)
    async with open_tenant_pool(database, size=1) as pool:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with pool.transaction("acme") as connection:
                await connection.execute("SELECT 1 / 0")
        assert await pool.platform_value("SELECT count(*) FROM schedule") == 0


async def test_were_rows_read_before_the_tenant_is_set_there_would_be_none(
    database: str, api: RunningApi, admin: httpx.AsyncClient
) -> None:
    """The order of evaluation is not promised by PostgreSQL, so a wrong order has to answer with nothing.

    Here the table is read first on purpose: its policy asks for the tenant while none is set.
    """
    await created(admin)
    flipped = TenantStatement(
        "WITH seen AS MATERIALIZED (SELECT count(*) AS count FROM schedule)"
        " SELECT seen.count, set_config('app.tenant_id', $1, true) FROM seen"
    )
    async with open_tenant_pool(database, size=1) as pool:
        row = await pool.row(flipped, "acme")
        assert row is not None
        assert row["count"] == 0


@pytest.mark.parametrize("name", TENANT_STATEMENTS)
async def test_each_statement_sets_its_tenant_before_it_can_read(app: Connection, name: str) -> None:
    """In the plan, whatever touches a tenant's table hangs on the scan of the part that sets the tenant."""
    lines = await _plan(app, tenant_statement(name))
    scans = [number for number, line in enumerate(lines) if _READS.search(line)]
    assert scans or name not in _READING, lines
    for number in scans:
        assert _runs_after(("tenant", "accepted"), lines, number), lines


@pytest.mark.parametrize("name", PLATFORM_STATEMENTS)
async def test_each_statement_of_the_platform_says_so_before_it_can_read_tenants(app: Connection, name: str) -> None:
    await app.execute("SET enable_seqscan = off")
    lines = await _plan(app, platform_statement(name))
    scans = [number for number, line in enumerate(lines) if _READS_TENANTS.search(line)]
    assert scans or name == "add_tenant", lines
    for number in scans:
        assert _runs_after(("platform",), lines, number), lines


async def test_that_somebody_acts_for_the_platform_does_not_outlive_the_statement(database: str) -> None:
    seen = "SELECT count(*) FROM tenant"
    async with open_tenant_pool(database, size=1) as pool:
        async with pool.platform_transaction("acme") as connection:
            await connection.execute("INSERT INTO tenant (id, created_at, updated_at) VALUES ('acme', now(), now())")
            assert await connection.fetchval(seen) == 1
        assert await pool.platform_value(seen) == 0
        [counted] = await pool.platform_rows(platform_statement("count_tenants"), 10)
        assert counted["number"] == 1
        assert await pool.platform_value(seen) == 0
        async with pool.transaction("acme") as connection:
            assert await connection.fetchval(seen) == 0
        flipped = PlatformStatement(
            "WITH seen AS MATERIALIZED (SELECT count(*) AS count FROM tenant)"
            " SELECT seen.count, set_config('app.platform', 'on', true) FROM seen"
        )
        [row] = await pool.platform_rows(flipped)
        assert row["count"] == 0


async def test_for_the_platform_nothing_of_any_tenant_is_seen(
    api: RunningApi, admin: httpx.AsyncClient, app: Connection
) -> None:
    await created(admin, trigger={"type": "CRON", "cron": "* * * * * *"})
    async with app.transaction():
        await app.execute("SELECT set_config('app.platform', 'on', true)")
        for table in TENANT_TABLES:
            assert await app.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def _plan(app: Connection, text: str) -> list[str]:
    prepared = await app.prepare(text)
    arguments = ", ".join("NULL" for _ in prepared.get_parameters())
    await app.execute("SET plan_cache_mode = force_generic_plan")
    await app.execute(f"PREPARE judged AS {text}")
    return [row[0] for row in await app.fetch(f"EXPLAIN (COSTS OFF) EXECUTE judged({arguments})")]


def _runs_after(parts: tuple[str, ...], lines: list[str], number: int) -> bool:
    """Tell whether a scan is the inner side of a nested loop whose outer side is one of the parts, at a level above."""
    openings = [f"CTE Scan on {part}" for part in parts]
    indent = _indent(lines[number])
    for above in range(number - 1, -1, -1):
        line = lines[above]
        indent = min(indent, _indent(line))
        if "Nested Loop" in line and _indent(line) < _indent(lines[number]):
            outer = next(item for item in lines[above + 1 :] if "->" in item)
            if any(opening in outer for opening in openings):
                return True
            inner = lines[above + 1 : number]
            if any(openings[0] in item for item in inner):
                return True
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


async def test_a_statement_that_does_not_begin_as_a_tenant_stops_the_start() -> None:
    with pytest.raises(ValueError, match="does not begin with"):
        tenant_statement("hold_schedule")
    with pytest.raises(ValueError, match="does not begin with"):
        platform_statement("hold_tenant")


async def test_every_table_of_a_tenant_is_under_row_security_even_for_its_owner(connection: Connection) -> None:
    rows = await connection.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS is_secured FROM pg_class"
        " WHERE relnamespace = 'scheduler'::regnamespace AND relkind IN ('r', 'p')"
        " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id')"
    )
    assert {row["relname"] for row in rows} >= set(TENANT_TABLES)
    assert [row["relname"] for row in rows if not row["is_secured"]] == []


async def test_the_roles_are_nobody_special(connection: Connection) -> None:
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'scheduler\\_%' AND"
        " (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb)"
    )
    owned = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relowner IN ('scheduler_app'::regrole, 'scheduler_dispatch'::regrole)"
    )
    assert (rows, owned) == ([], [])
