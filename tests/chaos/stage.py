"""The installation under test: embedded servers, one API, several dispatchers, a receiver and two proxies.

The first dispatcher reaches PostgreSQL and NATS through the proxies, so that it can be cut off while the others work.
"""

import asyncio
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import jwt

from scheduler_domain.infra.embedded import EmbeddedServers, ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade
from tests.chaos.callbacks import Callbacks
from tests.chaos.plan import DISPATCHERS, LEASE_SECONDS
from tests.chaos.proxy import Proxy
from tests.chaos.receiver import Receiver
from tests.support.processes import Processes, RunningProcess

TENANTS = ("chaos-a", "chaos-b")
_ISSUER = "chaos"
_LOOKAHEAD_SECONDS = 10  # close to the instants, so that a planner that is held up shows
_API_STARTS_WITHIN = 60.0
_DRAINS_WITHIN = 30.0
_LOOK_EVERY = 0.1


class Stage:
    def __init__(self, servers: EmbeddedServers, folder: Path) -> None:
        self.servers = servers
        self.receiver = Receiver(Callbacks(lambda: self.api_url))
        self.to_postgres = _proxy_to(servers.urls.postgres_url)
        self.to_nats = _proxy_to(servers.urls.nats_url)
        self.broken_promises: list[str] = []
        self._processes = Processes(folder)
        self.folder = folder
        self._secret = secrets.token_hex(32)
        self._port = 0
        self._api: RunningProcess | None = None
        self._dispatchers: list[RunningProcess | None] = [None] * DISPATCHERS
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def token(self, tenant: str) -> str:
        now = int(time.time())
        claims = {"tenant_id": tenant, "roles": ["admin"], "sub": "chaos", "iss": _ISSUER, "aud": _ISSUER}
        return jwt.encode({**claims, "iat": now, "exp": now + 36_000}, self._secret, algorithm="HS256")

    async def start(self) -> None:
        await asyncio.gather(self.receiver.start(), self.to_postgres.start(), self.to_nats.start())
        self._port = _free_port()
        self.start_api()
        assert self._api is not None
        await self._api.wait_for_http(f"{self.api_url}/ready", within=_API_STARTS_WITHIN)
        for place in range(DISPATCHERS):
            self.start_dispatcher(place)
        for process in filter(None, self._dispatchers):
            await process.wait_for_line("dispatcher.ready", within=_API_STARTS_WITHIN)
        self._supervisor = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        for process in (*self._dispatchers, self._api):
            if process is not None and process.exit_code is None:
                await process.kill()
        for closing in (self.receiver, self.to_postgres, self.to_nats):
            await closing.close()

    def start_api(self) -> None:
        environment = {**self._environment(), "PORT": str(self._port), "API_RATE_LIMIT": "off"}
        self._api = self._processes.scheduler("serve", environment=environment)

    @property
    def api(self) -> RunningProcess:
        assert self._api is not None
        return self._api

    async def kill_api(self) -> None:
        api, self._api = self.api, None
        await api.kill()

    def dispatcher(self, place: int) -> RunningProcess | None:
        return self._dispatchers[place]

    def start_dispatcher(self, place: int) -> None:
        environment = {**self._environment(), "DISPATCHER_PORT": "0", "DISPATCHER_LEASE_SEC": str(LEASE_SECONDS)}
        if place == 0:
            environment["POSTGRES_URL"] = _through(self.to_postgres, environment["POSTGRES_URL"])
            environment["NATS_URL"] = _through(self.to_nats, environment["NATS_URL"])
        self._dispatchers[place] = self._processes.scheduler("dispatch", environment=environment)

    async def kill_dispatcher(self, place: int) -> None:
        process, self._dispatchers[place] = self._dispatchers[place], None
        if process is not None:
            await process.kill()

    async def drain_dispatcher(self, place: int) -> None:
        """Ask it to end; an exit code other than 0, or one that comes late, is a promise broken.

        One that has hardly begun to start knows no signals yet, and has nothing to drain.
        """
        process, self._dispatchers[place] = self._dispatchers[place], None
        if process is None:
            return
        try:
            code = await process.stop(within=_DRAINS_WITHIN)
        except AssertionError as error:
            self.broken_promises.append(f"dispatcher {place} did not end within 30 s of SIGTERM: {error}")
            await process.kill()
            return
        if code == -signal.SIGTERM and not process.output:
            return
        if code != 0:
            self.broken_promises.append(f"dispatcher {place} ended with {code} on SIGTERM; see {process.log.name}")

    async def drain_dispatchers(self) -> None:
        await asyncio.gather(*(self.drain_dispatcher(place) for place in range(DISPATCHERS)))

    def logs(self) -> Sequence[Path]:
        return sorted(self.folder.glob("process-*.log"))

    async def _supervise(self) -> None:
        """Start again whatever ended unasked, and hold that against it: no outage may end a process."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._api is not None and self._api.exit_code is not None:
                self.broken_promises.append(f"the API ended with {self._api.exit_code}; see {self._api.log.name}")
                self.start_api()
            for place, process in enumerate(self._dispatchers):
                if process is not None and process.exit_code is not None:
                    code = process.exit_code
                    self.broken_promises.append(f"dispatcher {place} ended with {code}; see {process.log.name}")
                    self.start_dispatcher(place)

    def _environment(self) -> dict[str, str]:
        urls = self.servers.urls
        return {
            "POSTGRES_URL": urls.postgres_url,
            "NATS_URL": urls.nats_url,
            "REDIS_URL": urls.redis_url,
            "DISPATCHER_LOOKAHEAD_SEC": str(_LOOKAHEAD_SECONDS),
            "JWT_SECRET": self._secret,
            "JWT_ISSUER": _ISSUER,
            "JWT_AUDIENCE": _ISSUER,
            "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
            "WEBHOOK_ALLOW_HTTP": "true",
        }


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Start everything in an empty database; nothing is left afterwards but the logs in the folder."""
    context = ephemeral_servers(nats_sync_always=False)
    servers = await asyncio.to_thread(context.__enter__)
    try:
        await asyncio.to_thread(upgrade, servers.urls.postgres_url)
        stage = Stage(servers, folder)
        try:
            await stage.start()
            yield stage
        finally:
            await stage.close()
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _proxy_to(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Proxy(parts.hostname, parts.port)


def _through(proxy: Proxy, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}", f":{proxy.port}")


def _free_port() -> int:

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
