"""Connections to receivers, kept apart by tenant and never for long.

Two tenants with the same origin must not share a connection: what one of them can do to it (a half-read answer, a
confused parser) the other would receive. And a connection stays where its name pointed when it was opened, so a pool is
given up after a minute, however busy, and its successor looks the names up anew.
"""

import asyncio
import ssl

import aiohttp

from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.infra.webhook.addresses import GuardedResolver, NameLookups, guarded_sockets

POOL_LIFE_SECONDS = 60.0
IDLE_SECONDS = 4.0
"""Less than the 5 s after which common servers (Node.js, uvicorn) close an idle connection under a request's feet."""
CONNECT_SECONDS = 8.0
"""TCP in 3 s, which the socket sees to, and TLS in 5 s."""


class Pool:
    """The connections of one tenant, behind a session."""

    def __init__(self, session: aiohttp.ClientSession, ends_at: float) -> None:
        self.session = session
        self.ends_at = ends_at
        self.in_use_count = 0


class TenantPools:
    def __init__(
        self,
        allowed: AllowedNets,
        lookups: NameLookups,
        tls: ssl.SSLContext,
        *,
        life_seconds: float = POOL_LIFE_SECONDS,
    ) -> None:
        self._allowed = allowed
        self._life_seconds = life_seconds
        self._lookups = lookups
        self._tls = tls
        self._sockets = guarded_sockets(allowed)
        self._pools: dict[str, Pool] = {}
        self._retired: set[Pool] = set()
        self._next_sweep = 0.0

    def lend(self, tenant_id: str) -> Pool:
        """Lend the tenant's pool; it is to be given back, whatever becomes of the request."""
        pool = self._current(tenant_id)
        pool.in_use_count += 1
        return pool

    async def take_back(self, pool: Pool) -> None:
        """A pool that was given up meanwhile is closed by its last borrower."""
        pool.in_use_count -= 1
        if pool in self._retired and not pool.in_use_count:
            self._retired.discard(pool)
            await pool.session.close()

    async def close(self) -> None:
        for pool in (*self._pools.values(), *self._retired):
            await pool.session.close()
        self._pools.clear()
        self._retired.clear()

    def _current(self, tenant_id: str) -> Pool:
        now = asyncio.get_running_loop().time()
        if now >= self._next_sweep:
            self._next_sweep = now + min(IDLE_SECONDS, self._life_seconds)
            self._retire_ended(now)
        pool = self._pools.get(tenant_id)
        if pool is None:
            pool = self._pools[tenant_id] = Pool(self._open_session(), now + self._life_seconds)
        return pool

    def _retire_ended(self, now: float) -> None:
        for tenant_id, pool in list(self._pools.items()):
            if pool.ends_at <= now:
                del self._pools[tenant_id]
                self._retired.add(pool)
                if not pool.in_use_count:
                    self._close_later(pool)

    def _close_later(self, pool: Pool) -> None:
        closing = asyncio.create_task(pool.session.close(), name="webhook-pool-close")
        closing.add_done_callback(lambda _: self._retired.discard(pool))

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(self._lookups, self._allowed),
                use_dns_cache=False,
                ssl=self._tls,
                socket_factory=self._sockets,
                keepalive_timeout=IDLE_SECONDS,
                limit=0,  # the lanes bound what is in flight, by tenant and by origin
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
