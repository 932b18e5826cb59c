"""An event loop without time or order of its own.

Time stands still while anything is ready and then jumps to the next timer. Of what is ready, a seeded choice runs
next, so that no code can rely on an order that asyncio happens to keep. Each callback belongs to the process in whose
context it was made: one that is stopped finds its callbacks and timers waiting when it goes on, one that was killed
never runs again, not even its `finally`.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from math import inf
from random import Random
from typing import Any

_BEGINNING = 1_000.0
_MOST_CANCELS = 100  # a task may go on after a cancellation or two; none does for ever


class Process:
    """Something that can be stopped, or killed, as a whole."""

    def __init__(self, name: str, *, is_steady: bool = False) -> None:
        self.name = name
        self.is_steady = is_steady
        self.runs_from = 0.0

    @property
    def is_killed(self) -> bool:
        return self.runs_from == inf

    def kill(self) -> None:
        self.runs_from = inf

    def stand_still(self, until: float) -> None:
        """Run nothing until then, unless this is a steady process."""
        if not self.is_steady:
            self.runs_from = max(self.runs_from, until)


_process: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process | None:
    return _process.get()


class VirtualTimeLoop(asyncio.AbstractEventLoop):
    """Only what futures, tasks and timers need: there is no I/O to wait for."""

    def __init__(self, chance: Random) -> None:
        self.reports: list[dict[str, Any]] = []
        """What was given to the exception handler: errors that nobody waits for."""
        self._chance = chance
        self._now = _BEGINNING
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._buried: list[_Handle] = []
        self._order = count()
        self._is_closed = False

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._is_closed

    def is_closed(self) -> bool:
        return self._is_closed

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def start(self, process: Process, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine, and whatever it starts, as that process."""
        context = copy_context()
        context.run(_process.set, process)
        return self.create_task(coroutine, context=context)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(callback, args, context or copy_context(), self._now)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(callback, args, context or copy_context(), when)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._is_closed:
            self.reports.append(context)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run until the coroutine ends; then end every other task, that of killed processes too. One run a loop."""
        asyncio._set_running_loop(self)
        try:
            main = self.create_task(coroutine)
            self._run_until(main.done)
            return main.result()
        finally:
            self._end_all()
            self._is_closed = True
            asyncio._set_running_loop(None)

    def _run_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            if not self._ready:
                self._jump()
            ready = self._ready
            position = int(self._chance.random() * len(ready))
            handle = ready[position]
            ready[position] = ready[-1]
            ready.pop()
            if handle.is_cancelled:
                continue
            process = handle.context.get(_process)
            if process is not None and process.runs_from > self._now:
                self._postpone(handle, process.runs_from)
                continue
            handle.context.run(handle.callback, *handle.arguments)

    def _jump(self) -> None:
        timers = self._timers
        if not timers:
            raise RuntimeError("nothing is ready and nothing is waited for: the simulation waits for ever")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    def _postpone(self, handle: "_Handle", until: float) -> None:
        if until < inf:
            handle.is_postponed = True
            heapq.heappush(self._timers, (until, next(self._order), handle))
        else:
            self._buried.append(handle)

    def _end_all(self) -> None:
        """Cancel what is left, whoever's it is, so that no coroutine is dropped in the middle of its work."""
        self._ready += self._buried
        self._ready += [handle for _, _, handle in self._timers if handle.is_postponed]
        for _ in range(_MOST_CANCELS):
            left = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            ready, self._ready = self._ready, []
            while ready:
                for handle in ready:
                    handle.run()
                ready, self._ready = self._ready, []


class _Handle:
    __slots__ = ("_when", "arguments", "callback", "context", "is_cancelled", "is_postponed")

    def __init__(
        self, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context, when: float
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = context
        self.is_cancelled = False
        self.is_postponed = False
        self._when = when

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        if not self.is_cancelled:
            self.context.run(self.callback, *self.arguments)
