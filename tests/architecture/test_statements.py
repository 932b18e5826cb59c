"""Statements and migrations agree: PostgreSQL itself parses and types each statement against the newest schema."""

from pathlib import Path

import asyncpg
import pytest

FOLDER = Path(__file__).parents[2] / "scheduler_domain" / "infra" / "postgres" / "sql"
STATEMENTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.sql"))}


async def test_every_statement_fits_the_schema(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute("SET search_path = scheduler")
    misfits = {}
    for name, text in STATEMENTS.items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            misfits[name] = str(error)
    assert misfits == {}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_begins_with_its_name_and_promise(name: str) -> None:
    assert STATEMENTS[name].startswith(f"-- {name}: ")


async def tables(connection: "asyncpg.Connection[asyncpg.Record]") -> list[asyncpg.Record]:
    return await connection.fetch(
        "SELECT c.oid::regclass::text AS name, c.relrowsecurity, c.relforcerowsecurity, c.oid"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE n.nspname = 'scheduler' AND c.relkind IN ('r', 'p')"
    )


async def test_row_level_security_is_forced_on_every_table_of_tenants(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    found = await tables(connection)
    assert len(found) > 5
    assert [row["name"] for row in found if not (row["relrowsecurity"] and row["relforcerowsecurity"])] == []


async def test_every_unique_key_of_tenants_holds_the_tenant_and_begins_with_it(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A unique key without it would tell one tenant what another has."""
    rows = await connection.fetch(
        "SELECT i.indrelid::regclass::text AS name, array_agg(a.attname ORDER BY k.place) AS columns FROM pg_index AS i"
        " CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (number, place)"
        " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE i.indisunique AND i.indrelid = ANY ($1::oid[])"
        " GROUP BY i.indexrelid, i.indrelid",
        [row["oid"] for row in await tables(connection) if row["name"] != "scheduler.revocation"],
    )
    elsewhere = [(row["name"], row["columns"]) for row in rows if row["columns"][0] != "tenant_id"]
    # The ledger's key and that of each month: docs/decisions/0021.
    assert {name.partition("_")[0] for name, _ in elsewhere} == {"scheduler.ledger"}
    assert [columns for _, columns in elsewhere if columns != ["id", "tenant_id"]] == []
