"""What befalls an installation: seeded, and over after a while."""

import asyncio
from random import Random

from tests.simulation.installation import LEASE, DispatcherProcess, Installation

_MOST_STILL = LEASE.total_seconds() * 2


class Faults:
    """`severity` is 0 for a calm run, in which nothing fails and nothing may be delivered twice."""

    def __init__(self, installation: Installation, chance: Random, dispatcher_count: int, severity: int) -> None:
        self._installation = installation
        self._chance = chance
        self._severity = severity
        self._number = 0
        self.processes: list[DispatcherProcess] = []
        for _ in range(dispatcher_count):
            self._start_one()

    async def befall(self, seconds: float) -> None:
        """Let things happen for so long; then the weather clears up, targets mend, and somebody is alive."""
        ends_at = self._installation.loop.time() + seconds
        self._set_manners()
        if self._severity:
            self._set_weather()
        while (now := self._installation.loop.time()) < ends_at:
            await asyncio.sleep(min(self._chance.random() * 3, ends_at - now))
            if self._severity:
                await self._befall_once()
        self._installation.weather.clear_up()
        self._installation.manners.mend()
        self._installation.note("faults", "all is well from now on")
        if not any(self._is_at_work(process) for process in self.processes):
            self._start_one()

    def _set_manners(self) -> None:
        """In a calm run too, targets may be slow and may fail; they only never have what they said they have not."""
        chance, manners = self._chance, self._installation.manners
        manners.failing = chance.choice((0.0, 0.1, 0.4))
        manners.refusing, manners.gone = chance.choice((0.0, 0.05)), chance.choice((0.0, 0.0, 0.01))
        manners.slow = chance.choice((0.0, 0.05, 0.2))
        if self._severity:
            manners.losing_answers = chance.choice((0.0, 0.05))

    def _set_weather(self) -> None:
        chance, weather = self._chance, self._installation.weather
        weather.lost_share = chance.choice((0.0, 0.01, 0.05))
        weather.slow_share, weather.slowest = chance.choice((0.0, 0.01)), chance.choice((0.5, 3.0))
        weather.stopped_share = chance.choice((0.0, 0.002, 0.01))
        is_doubled = chance.random() < 0.5
        self._installation.lock.is_doubled = lambda: is_doubled and chance.random() < 0.5

    async def _befall_once(self) -> None:
        deed = self._chance.choice(
            (self._kill, self._kill, self._freeze, self._freeze, self._drain, self._cut, self._add)
        )
        await deed()

    async def _kill(self) -> None:
        if process := self._any_at_work():
            process.die()
            await asyncio.sleep(self._chance.random() * 2)
            self._start_one()

    async def _freeze(self) -> None:
        if process := self._any_at_work():
            process.freeze(self._chance.random() * self._chance.choice((0.5, _MOST_STILL)))

    async def _drain(self) -> None:
        if process := self._any_at_work():
            process.stop()
            await asyncio.sleep(self._chance.random() * 2)
            self._start_one()

    async def _cut(self) -> None:
        self._installation.note("faults", "the store cannot be reached")
        self._installation.weather.is_down = True
        await asyncio.sleep(self._chance.random() * 4)
        self._installation.weather.is_down = False
        self._installation.note("faults", "the store can be reached again")

    async def _add(self) -> None:
        if len([process for process in self.processes if self._is_at_work(process)]) < 3:
            self._start_one()

    def _start_one(self) -> None:
        self._number += 1
        process = DispatcherProcess(f"dispatcher {self._number}", self._installation)
        self.processes.append(process)
        process.start()

    def _any_at_work(self) -> DispatcherProcess | None:
        at_work = [process for process in self.processes if self._is_at_work(process)]
        return self._chance.choice(at_work) if at_work else None

    def _is_at_work(self, process: DispatcherProcess) -> bool:
        return not process.is_killed and not process.is_told_to_stop
