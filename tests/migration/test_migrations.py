"""Migrations go up, down and up again, alone or at once; what they leave behind keeps tenants apart."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from scheduler_domain.infra.postgres import migrate
from scheduler_domain.infra.postgres.address import asyncpg_url
from tests.support.processes import Processes

ROLES = ("scheduler_owner", "scheduler_app", "scheduler_dispatch")
# Hold no tenant's data: the dispatchers and when one was there, the key of callbacks, Alembic's and tzdata's versions.
PLATFORM_TABLES = {"dispatcher", "presence", "callback_key", "alembic_version", "tzdata_version_seen"}


async def in_thread(work: object, *arguments: object) -> object:
    """Migrations run a loop of their own, which takes a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return await asyncio.wrap_future(thread.submit(work, *arguments))  # type: ignore[arg-type]


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(asyncpg_url(url), ssl=False)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'scheduler'")
    await connection.close()
    return {row["tablename"] for row in rows}


async def test_up_down_and_up_again(empty_database: str) -> None:
    assert await in_thread(migrate.current_revision, empty_database) is None
    await in_thread(migrate.upgrade, empty_database)
    assert await in_thread(migrate.current_revision, empty_database) == migrate.head_revision()
    whole = await tables(empty_database)
    await in_thread(migrate.downgrade, empty_database, "base")
    assert await tables(empty_database) == {"alembic_version"}
    await in_thread(migrate.upgrade, empty_database)
    assert await tables(empty_database) == whole


async def test_several_processes_may_migrate_at_once(empty_database: str, processes: Processes) -> None:
    environment = {"POSTGRES_URL": empty_database}
    migrating = [processes.scheduler("migrate", "up", environment=environment) for _ in range(3)]
    assert [await process.wait() for process in migrating] == [0, 0, 0]
    assert await in_thread(migrate.current_revision, empty_database) == migrate.head_revision()


async def test_the_roles_can_do_nothing_but_their_work(connection: asyncpg.Connection) -> None:
    roles = await connection.fetch("SELECT * FROM pg_roles WHERE rolname = ANY ($1::text[])", list(ROLES))
    assert len(roles) == 3
    for role in roles:
        forbidden = ("rolsuper", "rolbypassrls", "rolcanlogin", "rolcreaterole", "rolcreatedb", "rolreplication")
        assert [name for name in forbidden if role[name]] == [], role["rolname"]
    memberships = await connection.fetch(
        "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY ($1::text[])",
        list(ROLES),
    )
    assert memberships == []


async def test_every_table_of_tenants_forces_row_security(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS is_forced FROM pg_class"
        " WHERE relnamespace = 'scheduler'::regnamespace AND relkind IN ('r', 'p')"
    )
    assert {row["relname"] for row in rows if not row["is_forced"]} == PLATFORM_TABLES & {r["relname"] for r in rows}
    owners = await connection.fetch(
        "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class"
        " WHERE relnamespace = 'scheduler'::regnamespace AND relkind IN ('r', 'p')"
    )
    assert [row["owner"] for row in owners] == ["scheduler_owner"]


async def test_every_key_of_tenants_begins_with_the_tenant(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT c.conrelid::regclass::text AS place, c.contype, a.attname FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " WHERE c.connamespace = 'scheduler'::regnamespace AND c.contype IN ('p', 'u', 'f')"
    )
    keys = {(row["place"].removeprefix("scheduler."), row["attname"]) for row in rows}
    beside = {(table, first) for table, first in keys if first != "tenant_id"}
    # revocation is read across tenants by dispatchers, in the order of its sequence, and by nobody else;
    # the key of a tenant is the tenant; the ledger's has its tenant second (decision 0021)
    assert beside - {(table, first) for table, first in beside if table in PLATFORM_TABLES} == {
        ("revocation", "sequence"),
        ("tenant", "id"),
        *((table, "id") for table, _ in keys if table.startswith("ledger")),
    }


async def test_the_api_sees_tenants_for_the_platform_alone_and_deletes_none(connection: asyncpg.Connection) -> None:
    insert = "INSERT INTO scheduler.tenant (id, created_at, updated_at) VALUES ($1, now(), now())"
    count = "SELECT count(*) FROM scheduler.tenant"
    await connection.execute(insert, "acme")
    await connection.execute("SET ROLE scheduler_app")
    async with connection.transaction():
        await connection.execute("SELECT set_config('app.tenant_id', 'acme', true)")
        assert await connection.fetchval(count) == 0
        assert await connection.execute("UPDATE scheduler.tenant SET weight = 100") == "UPDATE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(insert, "other")
    async with connection.transaction():
        await connection.execute("SELECT set_config('app.platform', 'on', true)")
        assert await connection.fetchval(count) == 1
        for refused in ("DELETE FROM scheduler.tenant", "UPDATE scheduler.tenant SET id = 'x'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(refused)
    assert await connection.fetchval(count) == 0


@pytest.mark.parametrize("weight", [0.09, 101, float("nan"), float("inf"), -1])
async def test_a_weight_that_would_stop_a_tenant_or_all_others_cannot_be_stored(
    connection: asyncpg.Connection, weight: float
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at) VALUES ('a', $1, now(), now())", weight
        )


async def test_the_api_sees_one_tenant_and_without_a_tenant_nothing(connection: asyncpg.Connection) -> None:
    for tenant in ("a", "b"):
        await connection.execute(
            "INSERT INTO scheduler.idempotent_request (tenant_id, key, fingerprint, created_at)"
            " VALUES ($1, 'k', '', now())",
            tenant,
        )
    await connection.execute("SET ROLE scheduler_app")
    count = "SELECT count(*) FROM scheduler.idempotent_request"
    assert await connection.fetchval(count) == 0
    async with connection.transaction():
        await connection.execute("SELECT set_config('app.tenant_id', 'a', true)")
        assert await connection.fetchval(count) == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO scheduler.idempotent_request (tenant_id, key, fingerprint, created_at)"
                " VALUES ('b', 'x', '', now())"
            )
    assert await connection.fetchval(count) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM scheduler.schedule",
        "INSERT INTO scheduler.schedule_cursor (tenant_id) VALUES ('a')",
        "UPDATE scheduler.schedule SET definition = '{}'",
        "UPDATE scheduler.ledger SET scheduled_for = now()",
        "DELETE FROM scheduler.ledger",
        "UPDATE scheduler.tenant SET weight = 100",
        "INSERT INTO scheduler.tenant (id) VALUES ('a')",
        "SELECT created_at FROM scheduler.tenant",
        "CREATE TABLE scheduler.mine (id int)",
        "ALTER TABLE scheduler.ledger DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_a_dispatcher_may_do_its_statements_and_no_more(connection: asyncpg.Connection, statement: str) -> None:
    await connection.execute("SET ROLE scheduler_dispatch")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_all_that_a_dispatcher_may_correct_in_the_ledger_is_a_delivery_written_as_something_else(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute("SET ROLE scheduler_dispatch")
    for number, status in enumerate(("CANCELLED", "FAILED", "SKIPPED")):
        await connection.execute(
            "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
            " reason, attempt_count, fired_at, ended_at) VALUES ('a', $1, gen_random_uuid(), 'SCHEDULED', 1, now(),"
            " now(), $2, 'x', 0, now(), now())",
            UUID(int=number),
            status,
        )
    assert await connection.execute("UPDATE scheduler.ledger SET status = 'COMPLETED'") == "UPDATE 2"
    kept = await connection.fetch("SELECT status FROM scheduler.ledger ORDER BY id")
    assert [row["status"] for row in kept] == ["COMPLETED", "FAILED", "COMPLETED"]


async def test_partitions_are_made_ahead_and_dropped_by_age(connection: asyncpg.Connection) -> None:
    await connection.execute("SET ROLE scheduler_dispatch")
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    maintain = "SELECT scheduler.maintain_partitions($1, $2, $3)"
    made = await connection.fetchval(maintain, in_a_year, 2, datetime(1970, 1, 1, tzinfo=UTC))
    assert made == 8
    assert await connection.fetchval(maintain, in_a_year, 2, datetime(1970, 1, 1, tzinfo=UTC)) == 0
    dropped = await connection.fetchval(maintain, in_a_year, 2, in_a_year - timedelta(days=70))
    assert dropped >= 10
    left = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^ledger_[0-9]{4}'")
    assert len(left) == 4


async def test_an_instant_ends_once_in_the_ledger(connection: asyncpg.Connection) -> None:
    insert = (
        "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
        " reason, attempt_count, ended_at) VALUES ('a', '01a20452-f3f8-8360-98db-339eba381daa',"
        " gen_random_uuid(), 'SCHEDULED', 1, now(), now(), 'SKIPPED', 'misfire-skipped', 0, now())"
    )
    await connection.execute(insert)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(insert)
