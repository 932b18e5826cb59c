"""Leadership by a lock in Redis or Valkey (`application.ports.leadership.Leadership`).

Design note. The lock only spares work: two leaders plan the same occurrences under the same ids, no leader leaves
planning to the next turn. So nothing here has to be right in the way of a distributed lock; it has to be quick. The
lock is a key with a random token and a time to live, taken and renewed by one script a turn, deleted by its owner
alone. The server is given 250 ms. Where it is away, slow or talking nonsense, the turn is the fallback's to decide, and
Redis is left in peace for a moment, so that an outage costs 250 ms once and not in every turn.

A leader that fails at planning gives the lock up and stands back until a peer has had its turn: the database may be
away from this process alone, and a lock renewed by each failure would keep the healthy ones from planning.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from scheduler_domain.application.ports.leadership import Leadership
from scheduler_domain.domain.errors import Unavailable

_log = structlog.get_logger(__name__)

BUDGET_SECONDS = 0.25
LEASE = timedelta(seconds=10)
"""How long a leader that vanished keeps others from planning; planning is a minute ahead of the instants."""
_REST_SECONDS = 2.0
_STAND_BACK_SECONDS = 3.0
"""Peers ask each second."""

_TAKE_OR_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_GIVE_UP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisLeadership:
    """Installations that share a server need a `key` each, or one of them would plan for nobody."""

    def __init__(
        self, client: Redis, fallback: Leadership, *, key: str = "scheduler:planner", lease: timedelta = LEASE
    ) -> None:
        self._client = client
        self._fallback = fallback
        self._key = key
        self._lease_ms = int(lease.total_seconds() * 1000)
        self._token = secrets.token_hex(16)
        self._rest_until = 0.0
        self._stand_back_until = 0.0

    @classmethod
    def connect(cls, url: str, fallback: Leadership, *, key: str = "scheduler:planner") -> "RedisLeadership":
        """Make the client; it connects with the first turn, so a server that is away keeps nothing from starting."""
        client = Redis.from_url(
            url,
            socket_timeout=BUDGET_SECONDS,
            socket_connect_timeout=BUDGET_SECONDS,
            retry=Retry(NoBackoff(), 0),
            client_name="scheduler-domain",
        )
        return cls(client, fallback, key=key)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        if asyncio.get_running_loop().time() < self._stand_back_until:
            yield False
            return
        try:
            is_leader = await self._run(_TAKE_OR_RENEW, self._token, self._lease_ms)
        except Unavailable:
            async with self._fallback.turn() as is_leader_elsewhere:
                yield is_leader_elsewhere
            return
        try:
            yield is_leader
        except Exception:
            if is_leader:
                self._stand_back_until = asyncio.get_running_loop().time() + _STAND_BACK_SECONDS
                await self._give_up()
            raise

    async def resign(self) -> None:
        await self._give_up()
        await self._fallback.resign()

    async def close(self) -> None:
        await self._client.aclose()

    async def _give_up(self) -> None:
        try:
            await self._run(_GIVE_UP, self._token)
        except Unavailable:
            _log.info("leader_lock_left_to_expire", lease_ms=self._lease_ms)

    async def _run(self, script: str, *arguments: str | int) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._rest_until:
            raise Unavailable("Redis was away a moment ago")
        try:
            async with asyncio.timeout(BUDGET_SECONDS):
                answer = await cast("Awaitable[object]", self._client.eval(script, 1, self._key, *map(str, arguments)))
        except (RedisError, OSError, ValueError) as error:
            self._rest_until = now + _REST_SECONDS * random.uniform(0.5, 1)  # noqa: S311 - spreads load
            _log.warning("leader_lock_unavailable", error=str(error) or type(error).__name__)
            raise Unavailable("Redis is away") from error
        return answer == 1
