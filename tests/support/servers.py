"""Real servers, started once for the session, and for each test an empty place in them.

PostgreSQL: a database of its own, copied from a migrated template. NATS: streams emptied afterwards, or a tenant of the
test's own. Valkey: emptied beforehand. The servers' data lies in a temporary folder that goes with the session.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import nats
import pytest
from nats.js import JetStreamContext
from redis.asyncio import Redis

from scheduler_domain.infra.embedded import EmbeddedServers, ServerUrls, ephemeral_servers
from scheduler_domain.infra.postgres import migrate

_TEMPLATE = "scheduler_template"


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[EmbeddedServers]:
    """The running servers themselves, for tests that kill, pause or restart one: they must leave it running."""
    with ephemeral_servers(nats_sync_always=False) as servers:
        yield servers


@pytest.fixture(scope="session")
def servers(embedded_servers: EmbeddedServers) -> ServerUrls:
    return embedded_servers.urls


@pytest.fixture(scope="session")
def postgres_url(servers: ServerUrls) -> str:
    """The address of an empty database that all tests share; `database` gives a test a migrated one of its own."""
    return servers.postgres_url


@pytest.fixture(scope="session")
def nats_url(servers: ServerUrls) -> str:
    return servers.nats_url


@pytest.fixture
async def redis_url(servers: ServerUrls) -> str:
    """The address of a Valkey that holds nothing."""
    async with Redis.from_url(servers.redis_url) as client:
        await client.flushall()
    return servers.redis_url


@pytest.fixture(scope="session")
async def administration(postgres_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection for statements about whole databases."""
    connection = await asyncpg.connect(postgres_url, ssl=False)
    # Nothing here has to survive a power cut, and making and dropping a database is mostly flushing.
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(administration: "asyncpg.Connection[asyncpg.Record]", postgres_url: str) -> str:
    """The name of a database with the newest schema, which nobody may be connected to."""
    await administration.execute(f"CREATE DATABASE {_TEMPLATE}")
    # The migrations run a loop of their own, which takes a thread of its own.
    with ThreadPoolExecutor(1) as thread:
        await asyncio.wrap_future(thread.submit(migrate.upgrade, _at(postgres_url, _TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
async def database(
    administration: "asyncpg.Connection[asyncpg.Record]", template: str, postgres_url: str
) -> AsyncIterator[str]:
    """The address of a migrated, empty database that only this test uses; the user is a superuser."""
    name = f"test_{secrets.token_hex(6)}"
    # Measured: copying the files takes 30 ms, writing the copy to the log (the default) 120 ms.
    await administration.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield _at(postgres_url, name)
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database(administration: "asyncpg.Connection[asyncpg.Record]", postgres_url: str) -> AsyncIterator[str]:
    """The address of a database without any schema, for the migrations' own tests."""
    name = f"test_{secrets.token_hex(6)}"
    await administration.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
    yield _at(postgres_url, name)
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def connection(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection to the test's own database."""
    opened = await asyncpg.connect(database, ssl=False)
    yield opened
    await opened.close()


@pytest.fixture
async def jetstream(nats_url: str) -> AsyncIterator[JetStreamContext]:
    """A JetStream client; the streams are emptied when the test ends."""
    client = await nats.connect(nats_url)
    context = client.jetstream()
    yield context
    for stream in await context.streams_info():
        await context.purge_stream(str(stream.config.name))
    await client.close()


@pytest.fixture
def tenant() -> str:
    """A tenant id that no other test uses: what tests share, they share apart."""
    return f"tenant-{secrets.token_hex(6)}"


def _at(postgres_url: str, database: str) -> str:
    return f"{postgres_url.rsplit('/', 1)[0]}/{database}"
