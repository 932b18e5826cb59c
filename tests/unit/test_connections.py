"""Connections are handed on as they are, never more than agreed, and never to two at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from scheduler_domain.infra.postgres.connections import Connections


class Line:
    """What a connection shows of itself to those who hand it around."""

    def __init__(self) -> None:
        self.is_cut = False
        self.in_transaction = False

    def is_closed(self) -> bool:
        return self.is_cut

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    def terminate(self) -> None:
        self.is_cut = True

    async def close(self, timeout: float) -> None:  # noqa: ARG002, ASYNC109 (the driver's signature)
        self.is_cut = True


class Exchange:
    """Opens lines, unless the test cut it off."""

    def __init__(self) -> None:
        self.opened: list[Line] = []
        self.is_away = False
        self.connecting = asyncio.Event()
        self.connecting.set()

    async def connect(self) -> Any:
        await self.connecting.wait()
        if self.is_away:
            raise ConnectionRefusedError
        self.opened.append(Line())
        return self.opened[-1]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def connections(exchange: Exchange, size: int = 2, wait: float = 5) -> Connections:
    return Connections(exchange.connect, size, timedelta(seconds=wait))


async def test_one_after_another_shares_one_connection(exchange: Exchange) -> None:
    shared = connections(exchange)
    for _ in range(5):
        shared.give_back(await shared.take())
    assert len(exchange.opened) == 1
    assert (shared.open_count, shared.idle_count) == (1, 1)


async def test_no_more_than_agreed_are_open_and_those_who_wait_are_served_in_order(exchange: Exchange) -> None:
    shared = connections(exchange, size=2)
    first, second = await shared.take(), await shared.take()
    waiting = [asyncio.create_task(shared.take()) for _ in range(3)]
    await asyncio.sleep(0)
    shared.give_back(second)
    assert await waiting[0] is second
    shared.give_back(first)
    assert await waiting[1] is first
    shared.give_back(second)
    assert await waiting[2] is second
    assert len(exchange.opened) == 2


async def test_idle_ones_are_cut_together_and_leave_room_for_new_ones(exchange: Exchange) -> None:
    shared = connections(exchange, size=2)
    taken = [await shared.take(), await shared.take()]
    shared.give_back(taken[0])
    shared.cut_idle()
    assert (taken[0].is_closed(), taken[1].is_closed()) == (True, False)
    assert (shared.open_count, shared.idle_count) == (1, 0)
    assert await shared.take() is exchange.opened[2]


async def test_many_at_once_open_no_more_than_agreed_while_connecting(exchange: Exchange) -> None:
    shared = connections(exchange, size=3)
    exchange.connecting.clear()
    waiting = [asyncio.create_task(shared.take()) for _ in range(10)]
    await asyncio.sleep(0)
    exchange.connecting.set()
    for task in asyncio.as_completed(waiting):
        shared.give_back(await task)
    assert len(exchange.opened) <= 3
    assert shared.open_count == shared.idle_count


async def test_a_wait_ends(exchange: Exchange) -> None:
    shared = connections(exchange, size=1, wait=0.01)
    held = await shared.take()
    with pytest.raises(TimeoutError):
        await shared.take()
    shared.give_back(held)
    assert await shared.take() is held


async def test_a_connecting_that_takes_too_long_leaves_room_for_another(exchange: Exchange) -> None:
    shared = connections(exchange, size=1, wait=0.01)
    exchange.connecting.clear()
    with pytest.raises(TimeoutError):
        await shared.take()
    assert shared.open_count == 0
    exchange.connecting.set()
    assert await shared.take() is exchange.opened[0]


async def test_whoever_waits_tries_itself_when_another_could_not_connect(exchange: Exchange) -> None:
    shared = connections(exchange, size=1)
    exchange.connecting.clear()
    exchange.is_away = True
    first, second = asyncio.create_task(shared.take()), asyncio.create_task(shared.take())
    await asyncio.sleep(0)
    exchange.connecting.set()
    with pytest.raises(ConnectionRefusedError):
        await first
    with pytest.raises(ConnectionRefusedError):
        await second
    assert shared.open_count == 0


@pytest.mark.parametrize("fault", ["is_cut", "in_transaction"])
async def test_a_connection_that_nobody_may_have_again_is_replaced(exchange: Exchange, fault: str) -> None:
    shared = connections(exchange, size=1)
    held: Any = await shared.take()
    waiting = asyncio.create_task(shared.take())
    await asyncio.sleep(0)
    setattr(held, fault, True)
    shared.give_back(held)
    assert held.is_cut
    assert await waiting is exchange.opened[1]
    assert shared.open_count == 1


async def test_a_connection_that_broke_while_idle_is_not_given(exchange: Exchange) -> None:
    shared = connections(exchange)
    held: Any = await shared.take()
    shared.give_back(held)
    held.is_cut = True
    assert await shared.take() is exchange.opened[1]
    assert shared.open_count == 1


async def test_what_was_handed_to_somebody_who_left_goes_to_the_next(exchange: Exchange) -> None:
    shared = connections(exchange, size=1)
    held = await shared.take()
    leaver, stayer = asyncio.create_task(shared.take()), asyncio.create_task(shared.take())
    await asyncio.sleep(0)
    shared.give_back(held)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert await stayer is held


async def test_closing_says_goodbye_on_all_of_them(exchange: Exchange) -> None:
    shared = connections(exchange)
    held, idle = await shared.take(), await shared.take()
    shared.give_back(idle)
    await shared.close()
    shared.give_back(held)
    assert [line.is_cut for line in exchange.opened] == [True, True]
    assert (shared.open_count, shared.idle_count) == (0, 0)
