"""The API of the test process: served by uvicorn on a free port, asked over real HTTP as one caller or another."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import uvicorn

from scheduler_domain.entrypoints.http_api.app import create_app
from scheduler_domain.entrypoints.http_api.unreadable import ProblemProtocol
from scheduler_domain.settings import Settings
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough for each of the HMAC algorithms"
ISSUER, AUDIENCE = "tests", "scheduler"
CRON = {"type": "CRON", "cron": "0 9 * * *"}
EVENT = {"kind": "EVENT", "eventTopic": "reports.daily"}


def environment(postgres_url: str, **more: str) -> dict[str, str]:
    return {
        "POSTGRES_URL": postgres_url,
        "JWT_SECRET": SECRET,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "LOG_LEVEL": "error",
        **more,
    }


def token(
    tenant: str = "acme", *roles: str, secret: str = SECRET, header: Mapping[str, Any] | None = None, **claims: Any
) -> str:
    """Return a token that is accepted, unless the claims say otherwise; a claim of None is left out."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "tenant_id": tenant,
        "roles": list(roles or ("admin",)),
        "iat": now,
        "exp": now + 3600,
    }
    content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(content, secret, algorithm="HS256", headers=dict(header or {}))


def definition(**more: Any) -> dict[str, Any]:
    return {"name": "Daily report", "trigger": CRON, "target": EVENT, **more}


class RunningApi:
    """A listening API. Clients it hands out are closed with it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients = contextlib.AsyncExitStack()

    async def caller(self, tenant: str = "acme", *roles: str) -> httpx.AsyncClient:
        """Return a client that speaks for a tenant with these roles, admin unless named."""
        headers = {"Authorization": f"Bearer {token(tenant, *roles)}", "X-Tenant-Id": tenant}
        return await self.client(headers)

    async def client(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=30)
        return await self._clients.enter_async_context(client)

    async def close(self) -> None:
        await self._clients.aclose()


class _Server(uvicorn.Server):
    """Leaves the signals of the test process alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running_api(variables: Mapping[str, str]) -> AsyncIterator[RunningApi]:
    app = create_app(Settings.from_environment(variables))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=ProblemProtocol, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await eventually(lambda: server.started or serving.done(), within=10)
        api = RunningApi(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            yield api
        finally:
            await api.close()
            server.should_exit = True
            await serving
