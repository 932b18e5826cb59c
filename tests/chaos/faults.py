"""How each fault is made, and mended after its time. A fault waits for the one before it on the same part."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler_domain.infra.embedded import EmbeddedServer
from tests.chaos.plan import Fault
from tests.chaos.proxy import Proxy
from tests.chaos.receiver import Mood
from tests.chaos.stage import Stage
from tests.support.processes import RunningProcess

_LEADER_LOCKS = "scheduler:plan:*"
_LATENCY = 0.2
_CONNECTS_WITHIN = 60.0  # also while it recovers, on a machine that has much else to do


class Faults:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._parts: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        servers = stage.servers
        self._ways: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "dispatcher-killed": self._dispatcher_killed,
            "dispatcher-restarted": self._dispatcher_restarted,
            "dispatcher-stopped": self._dispatcher_stopped,
            "dispatcher-stopped-beyond-its-lease": self._dispatcher_stopped,
            "postgres-killed": lambda fault: _server_killed(servers.postgres, fault),
            "postgres-restarted": lambda fault: _server_restarted(servers.postgres, fault),
            "postgres-stopped": lambda fault: _server_stopped(servers.postgres, fault),
            "postgres-connections-ended": self._postgres_connections_ended,
            "nats-killed": lambda fault: _server_killed(servers.nats, fault),
            "nats-restarted": lambda fault: _server_restarted(servers.nats, fault),
            "nats-stopped": lambda fault: _server_stopped(servers.nats, fault),
            "valkey-killed": lambda fault: _server_killed(servers.valkey, fault),
            "valkey-stopped": lambda fault: _server_stopped(servers.valkey, fault),
            "valkey-flushed": self._valkey_flushed,
            "leader-lock-stolen": self._leader_lock_stolen,
            "api-killed": self._api_killed,
            "api-stopped": lambda fault: _process_stopped(self._stage.api, fault),
            "receiver-unavailable": lambda fault: self._receiver_moody(Mood.UNAVAILABLE, fault),
            "receiver-hangs": lambda fault: self._receiver_moody(Mood.HANGS, fault),
            "receiver-resets": lambda fault: self._receiver_moody(Mood.RESETS, fault),
            "network-to-postgres-slow": lambda fault: _network_slow(stage.to_postgres, fault),
            "network-to-postgres-cut": lambda fault: _network_cut(stage.to_postgres, fault),
            "network-to-postgres-reset": lambda _: _network_reset(stage.to_postgres),
            "network-to-nats-slow": lambda fault: _network_slow(stage.to_nats, fault),
            "network-to-nats-cut": lambda fault: _network_cut(stage.to_nats, fault),
            "network-to-nats-reset": lambda _: _network_reset(stage.to_nats),
        }

    async def befall(self, fault: Fault) -> None:
        """Make the fault, wait, mend it."""
        async with self._parts[fault.part]:
            await self._ways[fault.kind](fault)

    async def _dispatcher_killed(self, fault: Fault) -> None:
        await self._stage.kill_dispatcher(fault.place)
        await asyncio.sleep(fault.seconds)
        self._stage.start_dispatcher(fault.place)

    async def _dispatcher_restarted(self, fault: Fault) -> None:
        await self._stage.drain_dispatcher(fault.place)
        await asyncio.sleep(fault.seconds)
        self._stage.start_dispatcher(fault.place)

    async def _dispatcher_stopped(self, fault: Fault) -> None:
        process = self._stage.dispatcher(fault.place)
        if process is not None:
            await _process_stopped(process, fault)

    async def _postgres_connections_ended(self, _: Fault) -> None:
        connection = await asyncpg.connect(self._stage.servers.urls.postgres_url, timeout=_CONNECTS_WITHIN)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await connection.close()

    async def _valkey_flushed(self, _: Fault) -> None:
        async with Redis.from_url(self._stage.servers.urls.redis_url) as client:
            await client.flushall()

    async def _leader_lock_stolen(self, fault: Fault) -> None:
        """Give every planner's lock to nobody: none plans until it expires, and then they meet.

        On a machine that is too busy to answer in time, nothing is stolen.
        """
        async with Redis.from_url(self._stage.servers.urls.redis_url) as client:
            with suppress(RedisError):
                for key in await client.keys(_LEADER_LOCKS):
                    await client.set(key, "nobody", px=max(int(fault.seconds * 1000), 1))
        await asyncio.sleep(fault.seconds)

    async def _api_killed(self, fault: Fault) -> None:
        await self._stage.kill_api()
        await asyncio.sleep(fault.seconds)
        self._stage.start_api()

    async def _receiver_moody(self, mood: Mood, fault: Fault) -> None:
        self._stage.receiver.mood = mood
        await asyncio.sleep(fault.seconds)
        self._stage.receiver.mood = Mood.ACCEPTS


async def _process_stopped(process: RunningProcess, fault: Fault) -> None:
    async with _signals(process):
        await asyncio.sleep(fault.seconds)


@asynccontextmanager
async def _signals(process: RunningProcess) -> AsyncIterator[None]:
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.send(signal.SIGCONT)


async def _server_killed(server: EmbeddedServer, fault: Fault) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.start)


async def _server_restarted(server: EmbeddedServer, fault: Fault) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.start)


async def _server_stopped(server: EmbeddedServer, fault: Fault) -> None:
    await asyncio.to_thread(server.pause)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.resume)


async def _network_slow(proxy: Proxy, fault: Fault) -> None:
    proxy.delay = _LATENCY
    await asyncio.sleep(fault.seconds)
    proxy.delay = 0.0


async def _network_cut(proxy: Proxy, fault: Fault) -> None:
    proxy.passes.clear()
    await asyncio.sleep(fault.seconds)
    proxy.passes.set()


async def _network_reset(proxy: Proxy) -> None:
    proxy.reset()
