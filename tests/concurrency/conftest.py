"""An API and a dispatcher in one process, on one database; a test may open a pool of its own instead."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.pool import open_tenant_pool
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from tests.support.changing import Changes, Dispatcher


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_dispatch_pool(database, 4, hash_joins=True)
    yield opened
    await opened.close()


@pytest.fixture
async def api(database: str) -> AsyncIterator[Changes]:
    async with open_tenant_pool(database) as pool:
        yield Changes(PostgresSchedules(pool))


@pytest.fixture
async def store(connection: asyncpg.Connection) -> asyncpg.Connection:
    await connection.execute("SET search_path = scheduler")
    return connection


@pytest.fixture
def dispatcher(pool: asyncpg.Pool) -> Dispatcher:
    return Dispatcher(pool, timedelta(seconds=30))
