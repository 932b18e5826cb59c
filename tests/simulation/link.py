"""How a call reaches a server and how its answer comes back: at once, late, or not at all.

A port in memory is its effect, which happens at one moment on the server, and a link, which is what may go wrong
around it. The contract suite uses DIRECT links, a simulation those of `Wire`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from tests.simulation.virtual_time import current_process

Answer = TypeVar("Answer")


class Link(Protocol):
    async def call(self, name: str, effect: Callable[[], Awaitable[Answer]]) -> Answer:
        """Let the effect happen and return its answer; raises ConnectionError whether or not it happened."""

    async def between(self) -> None:
        """Let time pass within a statement, where others' commits may come between its snapshot and its locks."""


class _Direct:
    async def call(self, name: str, effect: Callable[[], Awaitable[Answer]]) -> Answer:
        return await effect()

    async def between(self) -> None:
        return


DIRECT: Link = _Direct()


@dataclass(slots=True)
class Weather:
    """What calls go through at present. Shares are of all calls; a slow call takes up to `slowest` seconds.

    A `stopped` call is one during which the whole process stands still, as on a machine that is out of memory.
    """

    lost_share: float = 0.0
    stopped_share: float = 0.0
    slow_share: float = 0.0
    slowest: float = 0.0
    is_down: bool = False

    def clear_up(self) -> None:
        self.lost_share = self.slow_share = self.stopped_share = 0.0
        self.is_down = False


class Wire:
    """A link with seeded delays and losses."""

    def __init__(self, chance: Random, weather: Weather, note: Callable[[str], None]) -> None:
        self._chance = chance
        self._weather = weather
        self._note = note

    async def call(self, name: str, effect: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._pass(f"{name} was not heard")
        answer = await effect()
        await self._pass(f"{name} happened, and the answer is lost")
        return answer

    async def between(self) -> None:
        if self._chance.random() < 0.25:
            await asyncio.sleep(self._chance.random() * 0.01)

    async def _pass(self, loss: str) -> None:
        weather, drawn = self._weather, self._chance.random()
        if drawn < weather.slow_share:
            await asyncio.sleep(self._chance.random() * weather.slowest)
        elif drawn > 0.8:
            await asyncio.sleep((drawn - 0.8) * 0.02)
        else:
            await asyncio.sleep(0)
        process = current_process()
        if process is not None and weather.stopped_share and self._chance.random() < weather.stopped_share:
            seconds = self._chance.random() * 10
            self._note(f"stands still for {seconds:.2f} s")
            process.stand_still(asyncio.get_running_loop().time() + seconds)
            await asyncio.sleep(0)
        if weather.is_down or (weather.lost_share and self._chance.random() < weather.lost_share):
            self._note(loss)
            raise ConnectionError(loss)
