"""POSTGRES_URL may name several hosts: whichever takes writes is found, whatever state the others are in."""

import asyncio
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from scheduler_domain.infra.postgres.address import PostgresAddress
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from tests.acceptance.scheduler_command import scheduler
from tests.support.replicas import either
from tests.support.waiting import eventually

NOBODY = "postgresql://127.0.0.1:1/scheduler"


@pytest.fixture
def vanished() -> Iterator[str]:
    """A host that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://127.0.0.1:{listener.getsockname()[1]}/scheduler"


def hosts_first(database: str, *others: str) -> str:
    """Return an address that names the others before the one that answers."""
    parts = urlsplit(database)
    names = ",".join(urlsplit(other).netloc for other in others)
    return parts._replace(netloc=parts.netloc.replace("@", f"@{names},")).geturl()


async def answers(connection: Connection) -> None:
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_host_that_refuses_is_passed_by(database: str) -> None:
    await answers(await PostgresAddress(hosts_first(database, NOBODY)).connect(timeout=2))


async def test_a_host_that_vanished_costs_its_share_of_the_time_once(database: str, vanished: str) -> None:
    address = PostgresAddress(hosts_first(database, vanished))
    began = time.monotonic()
    await answers(await address.connect(timeout=1))
    first, began = time.monotonic() - began, time.monotonic()
    await answers(await address.connect(timeout=1))
    assert 0.5 <= first < 1
    assert time.monotonic() - began < 0.4


async def test_several_that_connect_at_once_all_arrive(database: str) -> None:
    address = PostgresAddress(hosts_first(database, NOBODY, NOBODY))
    for connection in await asyncio.gather(*(address.connect(timeout=2) for _ in range(8))):
        await answers(connection)


@pytest.mark.parametrize("said", ["", "?target_session_attrs=any", "?target_session_attrs=primary"])
async def test_a_server_that_takes_no_writes_is_refused_in_words(
    said: str, database: str, connection: Connection
) -> None:
    await set_read_only(connection, database)
    with pytest.raises(OSError, match="takes no writes"):
        await PostgresAddress(f"{database}{said}").connect(timeout=2)


async def test_the_reason_of_the_host_that_is_away_is_told_rather_than_that_of_a_standby(
    database: str, connection: Connection
) -> None:
    await set_read_only(connection, database)
    with pytest.raises(ConnectionRefusedError):
        await PostgresAddress(hosts_first(database, NOBODY)).connect(timeout=2)


async def test_a_wrong_password_is_no_reason_to_try_it_elsewhere(database: str) -> None:
    parts = urlsplit(database)
    wrong = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await PostgresAddress(either(wrong, database)).connect(timeout=2)


async def test_a_dispatchers_connection_leaves_a_server_that_stops_taking_writes(
    database: str, connection: Connection
) -> None:
    pool = await open_dispatch_pool(database, 1)
    before = await pool.fetchval("SELECT pg_backend_pid()")
    # As a primary that is being replaced says it: the connection stands, and writes fail.
    await pool.execute("SET default_transaction_read_only = on")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await pool.execute("INSERT INTO dispatcher (name) VALUES ('late')")
    assert await pool.fetchval("SELECT pg_backend_pid()") != before
    await pool.execute("INSERT INTO dispatcher (name) VALUES ('in time')")
    await pool.close()


async def test_a_statement_whose_connection_was_cut_changes_nothing_any_more(
    database: str, connection: Connection
) -> None:
    pool = await open_dispatch_pool(database, 1)
    with pytest.raises(TimeoutError):
        await pool.execute(
            "WITH slow AS MATERIALIZED (SELECT pg_sleep(20) AS slept)"
            " INSERT INTO dispatcher (name) SELECT 'too late' FROM slow WHERE slept IS NOT NULL",
            timeout=0.2,
        )
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%too late%' AND pid <> pg_backend_pid()"

    async def is_gone() -> bool:
        return await connection.fetchval(busy) == 0

    await eventually(is_gone, within=5)
    assert await connection.fetchval("SELECT count(*) FROM scheduler.dispatcher") == 0
    await pool.close()


async def test_the_command_line_takes_several_hosts(database: str) -> None:
    address = hosts_first(database, NOBODY)
    migrated = await scheduler("migrate", "status", environment={"POSTGRES_URL": address})
    assert migrated.exit_code == 0, migrated.stderr
    examined = await scheduler("doctor", "--json", environment={"POSTGRES_URL": address})
    assert '"PostgreSQL","state":"ok"' in examined.stdout.replace(" ", "")


async def set_read_only(connection: Connection, database: str) -> None:
    await connection.execute(f"ALTER DATABASE {urlsplit(database).path[1:]} SET default_transaction_read_only = on")
