"""The two stores, each empty for its test."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from scheduler_domain.infra.postgres.dispatch_pool import open_dispatch_pool
from scheduler_domain.infra.postgres.pool import open_tenant_pool
from tests.contract.stores import MemoryStore, PostgresStore, Store


@pytest.fixture
async def postgres_store(database: str, connection: asyncpg.Connection) -> AsyncIterator[PostgresStore]:
    dispatching = await open_dispatch_pool(database, 4)
    async with open_tenant_pool(database, 2) as tenants:
        yield PostgresStore(connection, dispatching, tenants)
    await dispatching.close()


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["postgres", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = request.getfixturevalue(f"{request.param}_store")
    return made
