"""The loop around a step, which has no logic of its own: tests call the step."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.1, 5.0
_log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Bell:
    """Wakes a loop before its pause is over; ringing twice wakes once."""

    def __init__(self) -> None:
        self._is_rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._is_rung = True
        self._wake()

    async def wait(self, seconds: float) -> None:
        """Return when rung, or after `seconds`. One loop waits for a bell.

        A future and a timer, for `asyncio.wait_for` costs a task each time, and the firing loop waits for each instant.
        """
        if not self._is_rung:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        self._is_rung = False

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


async def keep_stepping(name: str, step: Callable[[], Awaitable[float]], bell: Bell, stop: asyncio.Event) -> None:
    """Run `step` until stopped. A step returns the seconds to pause before the next, or until the bell rings.

    A step that fails is logged and tried again after a growing, jittered pause: a dependency that is away must
    neither end the process nor be hammered.
    """
    backoff = _FIRST_BACKOFF
    while not stop.is_set():
        try:
            pause = await step()
            backoff = _FIRST_BACKOFF
        except Exception as error:  # noqa: BLE001 - the loop's one guard: whatever it was, the next step must run
            _log.warning(f"{name}.failed", error=repr(error), retry_in_seconds=round(backoff, 1))
            pause = backoff * random.uniform(0.5, 1)  # noqa: S311 - jitter
            backoff = min(backoff * 2, _LONGEST_BACKOFF)
        if pause > 0 and not stop.is_set():
            await bell.wait(pause)


async def try_once(name: str, step: Callable[[], Awaitable[Result]]) -> Result | None:
    """Run a step of the end, which has no next time; None where a dependency that is away kept it from happening."""
    try:
        return await step()
    except Exception as error:  # noqa: BLE001 - whatever it was, the rest of the end must follow
        _log.warning(f"{name}.failed", error=repr(error))
        return None


async def try_until_done(name: str, step: Callable[[], Awaitable[Result]], stop: asyncio.Event) -> Result | None:
    """Run a step of the beginning until it succeeds, with growing, jittered pauses; None if stopped before."""
    found: list[Result] = []
    done = asyncio.Event()

    async def attempt() -> float:
        found.append(await step())
        done.set()
        return 0

    stopping = asyncio.create_task(stop.wait())
    trying = asyncio.create_task(keep_stepping(name, attempt, Bell(), done))
    await asyncio.wait((stopping, trying), return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, trying):
        task.cancel()
    await asyncio.gather(stopping, trying, return_exceptions=True)
    return found[0] if found else None
