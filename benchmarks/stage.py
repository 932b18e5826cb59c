"""Where benchmarks happen: real servers of their own, migrated, and the product's real processes on them."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from benchmarks.processor_time import ProcessorTime
from scheduler_domain.infra.embedded import EmbeddedServers, ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade

_STARTS_WITHIN_SEC = 30.0
_STOPS_WITHIN_SEC = 35.0
_POLL_SEC = 0.01
_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "wal_compression")


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers with durable settings and nothing in them."""

    servers: EmbeddedServers
    folder: Path
    jwt_secret: str
    nats_sync: str

    @property
    def postgres_url(self) -> str:
        return self.servers.urls.postgres_url

    @property
    def nats_url(self) -> str:
        return self.servers.urls.nats_url

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a product process: nothing inherited but what Python itself needs."""
        urls = self.servers.urls
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "POSTGRES_URL": urls.postgres_url,
            "NATS_URL": urls.nats_url,
            "REDIS_URL": urls.redis_url,
            "JWT_SECRET": self.jwt_secret,
            "JWT_ISSUER": "benchmark",
            "JWT_AUDIENCE": "benchmark",
            "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
            "WEBHOOK_ALLOW_HTTP": "true",
            "LOG_LEVEL": "warning",
            **more,
        }

    async def settings(self, connection: asyncpg.Connection) -> dict[str, object]:
        """Return what decides how durable and how fast the servers are, as PostgreSQL itself tells it."""
        shown = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in _DURABILITY}
        version = await connection.fetchval("SHOW server_version")
        return {"postgres": version.split()[0], **shown, "nats_sync_interval": self.nats_sync}

    def processor_time(self, *processes: "Running") -> ProcessorTime:
        return ProcessorTime(
            {
                "python": [process.pid for process in processes],
                "postgres": [self.servers.postgres.pid],
                "nats": [self.servers.nats.pid],
            }
        )


@contextmanager
def stage() -> Iterator[Stage]:
    """Start servers, migrate, and remove everything afterwards. NATS flushes each message before it acknowledges."""
    with ephemeral_servers(nats_sync_always=True) as servers, tempfile.TemporaryDirectory() as folder:
        upgrade(servers.urls.postgres_url)
        yield Stage(servers, Path(folder), secrets.token_hex(32), nats_sync="always")


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the product, ready to work."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    ready_after_sec: float

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def dispatchers(stage: Stage, count: int = 1, **environment: str) -> Iterator[list[Running]]:
    """Run `scheduler dispatch` this many times; stops them in order."""
    with ExitStack() as stack:
        yield [stack.enter_context(_running(stage, "dispatch", "DISPATCHER_PORT", environment)) for _ in range(count)]


@contextmanager
def api(stage: Stage) -> Iterator[Running]:
    """Run `scheduler serve`."""
    with _running(stage, "serve", "PORT", {}) as running:
        yield running


@contextmanager
def _running(stage: Stage, role: str, port_name: str, environment: Mapping[str, str]) -> Iterator[Running]:
    port = free_port()
    log = stage.folder / f"{role}-{port}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scheduler_domain", role],
            env=stage.environment(**{port_name: str(port)}, **environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/ready", log)
        yield Running(process, port, log, time.monotonic() - began)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, then insist."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPS_WITHIN_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_SEC
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"a process ended while starting:\n{_tail(log)}")
            try:
                if client.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_SEC)
    raise RuntimeError(f"{url} did not answer within {_STARTS_WITHIN_SEC:.0f} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
