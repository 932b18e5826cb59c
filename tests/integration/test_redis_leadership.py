"""The leader lock in Valkey: one plans, and an outage of any kind changes nothing but who decides."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from scheduler_domain.infra.embedded import ephemeral_servers
from scheduler_domain.infra.embedded.server import EmbeddedServer
from scheduler_domain.infra.redis.leadership import RedisLeadership
from tests.support.waiting import eventually

KEY = "scheduler:planner"


class Fallback:
    """The other way to lead, which counts how often it was asked."""

    def __init__(self, *, leads: bool = True) -> None:
        self.leads = leads
        self.turns = 0
        self.resigned = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        self.turns += 1
        yield self.leads

    async def resign(self) -> None:
        self.resigned += 1


@pytest.fixture(scope="module")
def one_server() -> Iterator[EmbeddedServer]:
    with ephemeral_servers(postgres=False, nats=False) as servers:
        yield servers.valkey


@pytest.fixture
async def valkey(one_server: EmbeddedServer) -> AsyncIterator[Redis]:
    one_server.start()  # a test that failed may have left it down
    async with Redis.from_url(one_server.url) as client:
        await client.flushall()
        yield client


@asynccontextmanager
async def leaderships(url: str, count: int, fallback: Fallback) -> AsyncIterator[list[RedisLeadership]]:
    async with AsyncExitStack() as stack:
        made = [RedisLeadership.connect(url, fallback) for _ in range(count)]
        for each in made:
            stack.push_async_callback(each.close)
        yield made


async def leads(leadership: RedisLeadership) -> bool:
    async with leadership.turn() as is_leader:
        return is_leader


async def fail_at_planning(leader: RedisLeadership) -> None:
    async with leader.turn() as is_leader:
        assert is_leader
        raise ZeroDivisionError


async def test_one_of_many_leads_and_stays_leader(valkey: Redis, one_server: EmbeddedServer) -> None:
    fallback = Fallback()
    async with leaderships(one_server.url, 5, fallback) as five:
        first = await asyncio.gather(*(leads(each) for each in five))
        assert sum(first) == 1
        assert await asyncio.gather(*(leads(each) for each in five)) == first
        assert 0 < await valkey.pttl(KEY) <= 10_000
    assert fallback.turns == 0


async def test_a_leader_that_resigns_is_followed_at_once(valkey: Redis, one_server: EmbeddedServer) -> None:
    fallback = Fallback()
    async with leaderships(one_server.url, 2, fallback) as (old, new):
        assert await leads(old)
        assert not await leads(new)
        await old.resign()
        assert await leads(new)
    assert fallback.resigned == 1


async def test_a_leader_that_fails_at_planning_is_followed_at_once_and_stands_back(
    valkey: Redis, one_server: EmbeddedServer
) -> None:
    async with leaderships(one_server.url, 2, Fallback()) as (cut_off, peer):
        with pytest.raises(ZeroDivisionError):
            await fail_at_planning(cut_off)
        assert not await leads(cut_off)
        assert await leads(peer)


async def test_a_leader_that_failed_leads_again_where_no_peer_does(valkey: Redis, one_server: EmbeddedServer) -> None:
    async with leaderships(one_server.url, 1, Fallback()) as (only,):
        with pytest.raises(ZeroDivisionError):
            await fail_at_planning(only)
        assert not await leads(only)
        await eventually(lambda: leads(only), within=6)


async def test_resigning_never_takes_the_lock_from_another(valkey: Redis, one_server: EmbeddedServer) -> None:
    async with leaderships(one_server.url, 2, Fallback()) as (leader, other):
        assert await leads(leader)
        held = await valkey.get(KEY)
        await other.resign()
        assert await valkey.get(KEY) == held


async def test_a_leader_that_vanished_is_followed_when_its_lease_ends(
    valkey: Redis, one_server: EmbeddedServer
) -> None:
    fallback = Fallback()
    async with Redis.from_url(one_server.url) as client:
        vanished = RedisLeadership(client, fallback, lease=timedelta(milliseconds=50))
        heir = RedisLeadership(client, fallback, lease=timedelta(milliseconds=50))
        assert await leads(vanished)
        assert not await leads(heir)
        await eventually(lambda: leads(heir), within=2)
        assert not await leads(vanished)


async def test_a_flushed_server_is_led_again_with_the_next_turn(valkey: Redis, one_server: EmbeddedServer) -> None:
    async with leaderships(one_server.url, 2, Fallback()) as (one, other):
        assert await leads(one)
        await valkey.flushall()
        assert await leads(other)
        assert not await leads(one)


@pytest.mark.parametrize("fallback_leads", [True, False])
async def test_while_the_server_is_away_the_fallback_decides(
    valkey: Redis, one_server: EmbeddedServer, fallback_leads: bool
) -> None:
    fallback = Fallback(leads=fallback_leads)
    async with leaderships(one_server.url, 1, fallback) as [leadership]:
        assert await leads(leadership)
        one_server.kill()
        assert await leads(leadership) is fallback_leads
        await leadership.resign()
        one_server.start()
        asked = fallback.turns
        await eventually(lambda: leads_by_redis(leadership, fallback), within=5)
        assert asked >= 1
        assert fallback.resigned == 1


async def leads_by_redis(leadership: RedisLeadership, fallback: Fallback) -> bool:
    before = fallback.turns
    return await leads(leadership) and fallback.turns == before


async def test_a_paused_server_costs_its_budget_once(valkey: Redis, one_server: EmbeddedServer) -> None:
    fallback = Fallback()
    async with leaderships(one_server.url, 1, fallback) as [leadership]:
        assert await leads(leadership)
        one_server.pause()
        try:
            began = time.monotonic()
            for _ in range(10):
                assert await leads(leadership)
            assert time.monotonic() - began < 0.4
            assert fallback.turns == 10
        finally:
            one_server.resume()


async def test_a_server_that_speaks_something_else_is_as_good_as_away() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fallback = Fallback()
    async with leaderships(f"redis://127.0.0.1:{port}", 1, fallback) as [leadership]:
        assert await leads(leadership)
        assert fallback.turns == 1
    server.close()
