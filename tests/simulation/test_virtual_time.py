"""The loop itself: time that jumps, an order that is drawn, processes that stop and vanish."""

import asyncio
from random import Random

import pytest

from tests.simulation.virtual_time import Process, VirtualTimeLoop


def loop_of(seed: int) -> VirtualTimeLoop:
    return VirtualTimeLoop(Random(seed))


def test_an_hour_of_sleep_passes_at_once() -> None:
    loop = loop_of(1)

    async def sleep() -> float:
        began = loop.time()
        await asyncio.sleep(3_600)
        return loop.time() - began

    assert loop.run(sleep()) == pytest.approx(3_600)


def test_what_is_ready_runs_in_an_order_that_the_seed_draws() -> None:
    def order_of(seed: int) -> tuple[int, ...]:
        ran: list[int] = []

        async def run(number: int) -> None:
            ran.append(number)

        async def all_of_them() -> None:
            await asyncio.gather(*(run(number) for number in range(5)))

        loop_of(seed).run(all_of_them())
        return tuple(ran)

    assert order_of(1) == order_of(1)
    assert len({order_of(seed) for seed in range(20)}) > 10


def test_a_process_that_stands_still_goes_on_where_it_was() -> None:
    loop, process = loop_of(1), Process("one")
    woken_at: list[float] = []

    async def work() -> None:
        await asyncio.sleep(1)
        woken_at.append(loop.time())

    async def course() -> None:
        began = loop.time()
        task = loop.start(process, work())
        process.stand_still(began + 5)
        await task
        assert woken_at == [pytest.approx(began + 5 + 1)]

    loop.run(course())


def test_a_killed_process_does_nothing_more_and_cleans_nothing_up() -> None:
    loop, process = loop_of(1), Process("one")
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            done.append("woke")
        finally:
            done.append("cleaned up")

    async def course() -> list[str]:
        loop.start(process, work())
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.sleep(10)
        return list(done)

    assert loop.run(course()) == []


def test_waiting_for_what_never_comes_is_said_and_not_waited_for() -> None:
    loop = loop_of(1)

    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="waits for ever"):
        loop.run(wait())
