"""The running API as fixtures: one of a test's own, and one that a whole module shares."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from tests.integration.api_server import RunningApi, environment, running_api

_LOOPBACK_WEBHOOKS = {"WEBHOOK_ALLOW_NETS": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true"}


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    """An API on a migrated, empty database of its own; webhooks may go to loopback."""
    async with running_api(environment(database, **_LOOPBACK_WEBHOOKS)) as running:
        yield running


@pytest.fixture
async def admin(api: RunningApi) -> httpx.AsyncClient:
    """A client that speaks for the tenant acme with the role admin."""
    return await api.caller()


@pytest.fixture(scope="module")
async def standing_api(
    administration: "asyncpg.Connection[asyncpg.Record]", template: str, postgres_url: str
) -> AsyncIterator[RunningApi]:
    """An API that all tests of a module share, for those that store nothing or only within a tenant of their own."""
    name = f"test_{secrets.token_hex(6)}"
    await administration.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    async with running_api(environment(_address_of(postgres_url, name))) as running:
        yield running
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test knows."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
async def editor(standing_api: RunningApi, tenant: str) -> httpx.AsyncClient:
    """A client of the shared API that speaks for the test's own tenant with the role editor."""
    return await standing_api.caller(tenant, "editor")


def _address_of(postgres_url: str, database: str) -> str:
    return urlunsplit(urlsplit(postgres_url)._replace(path=f"/{database}"))
