"""The running API as a fixture."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.api_server import RunningApi, environment, running_api


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    """An API on a migrated, empty database of its own; webhooks may go to loopback."""
    variables = environment(database, WEBHOOK_ALLOW_NETS="127.0.0.0/8", WEBHOOK_ALLOW_HTTP="true")
    async with running_api(variables) as running:
        yield running


@pytest.fixture
async def admin(api: RunningApi) -> httpx.AsyncClient:
    """A client that speaks for the tenant acme with the role admin."""
    return await api.caller()
