"""The process tree of `scheduler dev`: embedded servers, API and dispatcher, started side by side, stopped in order.

Design note. What takes long overlaps: the children import while the servers start, and get their environment once the
schema is up to date. Everything started is on one exit stack, so a signal at any moment, an error, or the end of a
part undoes exactly what was done, last started first: deliveries drain while the servers still run. Should this process
be killed, keeper processes end the servers, and the children see the end of their input and drain by themselves.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from scheduler_domain.bootstrap.embedded import EmbeddedServer, EmbeddedServers, embedded_servers
from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.entrypoints.cli.token import LONGEST_LIFE, mint
from scheduler_domain.entrypoints.dev.child_process import ChildProcess
from scheduler_domain.entrypoints.dev.data_folder import DataFolder
from scheduler_domain.entrypoints.dev.environment import (
    EMBEDDED,
    TENANT,
    completed,
    is_named,
    reachable,
    url_of,
)
from scheduler_domain.entrypoints.dev.waiting import first_to_end, to_its_end, until_ready
from scheduler_domain.settings import Settings

_MIGRATIONS = "scheduler_domain.bootstrap.migrations"
_READY_WITHIN = timedelta(seconds=60)
_AFTER_GRACE = timedelta(seconds=5)
_SERVER_POLL = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """`port` 0 takes any free one; `data_dir` None keeps nothing."""

    port: int
    data_dir: Path | None


@dataclass(frozen=True, slots=True)
class Running:
    """What there is to know once everything runs. `token` is None where an identity provider makes the tokens."""

    url: str
    tenant: str
    token: str | None
    token_expires_at: datetime
    settings: Settings
    variables: Mapping[str, str]
    """What its parts were told beyond the environment."""
    data_dir: Path | None
    phases: Mapping[str, timedelta]
    """What the start consisted of, and how long each part took."""


@dataclass(slots=True)
class _Phases:
    """Measures the parts of a start, each from the end of the one before."""

    began: float = field(default_factory=time.perf_counter)
    lengths: dict[str, timedelta] = field(default_factory=dict)

    def end(self, name: str) -> None:
        now = time.perf_counter()
        self.lengths[name] = timedelta(seconds=now - self.began)
        self.began = now


async def run_until_stopped(
    options: Options,
    environ: Mapping[str, str],
    when_ready: Callable[[Running], Awaitable[None]],
    when_stopping: Callable[[str | None], None],
) -> None:
    """Start everything, await `when_ready`, and stay until a signal comes; then stop everything and return.

    `when_stopping` is told why, if it was not a signal: to stop the rest may take as long as the grace.
    Raises SchedulerError, its message for a person, if something cannot start or ends by itself.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _stop_or_abandon, stop, when_stopping)
    async with AsyncExitStack() as stack:
        await first_to_end(_until(stop), _ProcessTree(stack, options, environ).run(when_ready, when_stopping))


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def _stop_or_abandon(stop: asyncio.Event, when_stopping: Callable[[str | None], None]) -> None:
    """Stop in order at the first signal; at the second, leave: keepers and children notice and end by themselves."""
    if stop.is_set():
        os._exit(1)
    stop.set()
    when_stopping(None)


class _ProcessTree:
    def __init__(self, stack: AsyncExitStack, options: Options, environ: Mapping[str, str]) -> None:
        self._stack = stack
        self._options = options
        self._environ = environ
        self._embedded = [server for variable, server in EMBEDDED.items() if not is_named(environ, variable)]
        self._phases = _Phases()

    async def run(
        self, when_ready: Callable[[Running], Awaitable[None]], when_stopping: Callable[[str | None], None]
    ) -> None:
        """Start, then stay for ever, or until a part ends."""
        given = Settings.from_environment(self._environ)
        port = _free_port(given.http.host, self._options.port)
        folder = self._open_folder()
        servers, children = await self._start_processes(folder, given.dispatcher.shutdown_grace + _AFTER_GRACE)
        variables = self._variables(servers, port, folder)
        settings = Settings.from_environment({**self._environ, **variables})
        settings.check_serving()
        await to_its_end(partial(import_module(_MIGRATIONS).migrate_up, settings.required_postgres_url()))
        self._phases.end("schema")
        for child in children:
            await child.configure(variables)
        await first_to_end(_both_ready(settings), *(child.raise_when_ended() for child in children))
        self._phases.end("API and dispatcher")
        try:
            await first_to_end(
                _stay(when_ready, self._described(settings, variables)),
                _raise_when_a_server_ends([getattr(servers, name) for name in self._embedded]),
                *(child.raise_when_ended() for child in children),
            )
        except SchedulerError as ended:
            when_stopping(ended.message)
            raise

    def _open_folder(self) -> DataFolder:
        path = self._options.data_dir
        if path is None:
            path = Path(self._stack.enter_context(TemporaryDirectory(prefix="scheduler-dev-")))
        return self._stack.enter_context(DataFolder(path))

    async def _start_processes(
        self, folder: DataFolder, grace: timedelta
    ) -> tuple[EmbeddedServers, list[ChildProcess]]:
        """Start what needs no address of anything else, all at once; the slowest decides."""
        wanted = {name: name in self._embedded for name in EMBEDDED.values()}
        running = ExitStack()
        context = embedded_servers(self._options.data_dir, **wanted)
        starting = asyncio.create_task(asyncio.to_thread(running.enter_context, context))
        self._stack.push_async_callback(_stop_servers, starting, running)
        children = [await ChildProcess.start(role, folder.fresh_log(role)) for role in ("serve", "dispatch")]
        for child in children:
            self._stack.push_async_callback(child.stop, grace)
        servers, _ = await asyncio.gather(asyncio.shield(starting), to_its_end(partial(import_module, _MIGRATIONS)))
        self._phases.end("servers")
        return servers, children

    def _variables(self, servers: EmbeddedServers, port: int, folder: DataFolder) -> dict[str, str]:
        urls = servers.urls
        return completed(
            self._environ,
            servers={"POSTGRES_URL": urls.postgres_url, "NATS_URL": urls.nats_url, "REDIS_URL": urls.redis_url},
            port=port,
            dispatcher_port=_free_port("127.0.0.1", 0),
            jwt_secret=folder.jwt_secret(),
        )

    def _described(self, settings: Settings, variables: Mapping[str, str]) -> Running:
        identity = settings.identity
        token = None
        if identity.jwks_url is None:
            token = mint(identity, tenant=TENANT, roles=["admin"], subject="dev", life=LONGEST_LIFE)
        return Running(
            url=url_of(settings.http.host, settings.http.port),
            tenant=TENANT,
            token=token,
            token_expires_at=datetime.now(UTC) + LONGEST_LIFE,
            settings=settings,
            variables=variables,
            data_dir=self._options.data_dir,
            phases=self._phases.lengths,
        )


def _free_port(host: str, port: int) -> int:
    """Return the port, or any free one for 0; SchedulerError if somebody listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: the connections of one that has just ended must not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SchedulerError(
                f"port {port} on {host} cannot be used ({(error.strerror or str(error)).lower()}): "
                "choose another with --port, or --port 0 for any free one"
            ) from error
        chosen: int = probe.getsockname()[1]
        return chosen


async def _both_ready(settings: Settings) -> None:
    host = reachable(settings.http.host)
    try:
        await asyncio.gather(
            until_ready(host, settings.http.port, "/ready", _READY_WITHIN),
            until_ready(host, settings.dispatcher.port, "/ready", _READY_WITHIN),
        )
    except TimeoutError:
        raise SchedulerError(
            f"API and dispatcher were not ready within {_READY_WITHIN.total_seconds():.0f} s"
        ) from None


async def _stay(when_ready: Callable[[Running], Awaitable[None]], running: Running) -> None:
    await when_ready(running)
    await asyncio.Event().wait()


async def _stop_servers(starting: "asyncio.Task[EmbeddedServers]", running: ExitStack) -> None:
    """Stop them, also if they are only just starting: a start that nobody waits for would leave them behind."""
    await asyncio.gather(starting, return_exceptions=True)
    await asyncio.to_thread(running.close)


async def _raise_when_a_server_ends(started: list[EmbeddedServer]) -> None:
    """Notice a server that crashed or was killed: the API would only say that something is away."""
    # A loop, because the server is its keeper's child and tells us nothing.
    while not (ended := [server for server in started if not server.is_running]):
        await asyncio.sleep(_SERVER_POLL)
    raise SchedulerError("; ".join(f"{server.name} ended, its log is {server.log}" for server in ended))
