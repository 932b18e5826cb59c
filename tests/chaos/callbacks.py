"""A receiver that answers 202 and calls back: soon, before it has answered, too late, that it failed, or never.

Which of these an occurrence meets is a function of its key, so that a repetition meets the same. A call that is not
answered may have counted, so it is repeated until it is; what was said then is beyond doubt.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from zlib import crc32

import aiohttp
from msgspec import Struct

from tests.chaos.definitions import TIMEOUT_SECONDS
from tests.chaos.history import Callback
from tests.chaos.tasks import forget_done

_TRY_AGAIN_AFTER = 0.2
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_CALLS_AT_ONCE = 32
_WAITS_BEFORE_ANSWERING = 0.8
_SOON = (0.0, 0.1, 0.5, 1.2)
_NO_ANSWERS = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_ANSWERS = frozenset({HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})


class Course(Struct, frozen=True):
    """What becomes of an attempt that was accepted: so many seconds later a word, or silence (None).

    The word may come before the 202. A course holds for the first attempts at an occurrence, one if not said otherwise.
    """

    after: float
    succeeded: bool | None
    before_answering: bool = False
    attempts: int = 1


_SILENT_TWICE = Course(0.0, succeeded=None, attempts=2)  # all that some schedules grant
_FAILS = Course(0.3, succeeded=False)
_SILENT = Course(0.0, succeeded=None)
_TOO_LATE = Course(TIMEOUT_SECONDS + 1.0, succeeded=True)
_AT_ONCE = Course(0.0, succeeded=True, before_answering=True)
_PERCENTAGES = ((5, _SILENT_TWICE), (10, _FAILS), (10, _SILENT), (10, _TOO_LATE), (10, _AT_ONCE))


def course_of(key: str, attempt: int, *, is_mended: bool) -> Course:
    """Return how the attempt at an occurrence goes, counted from 1; what is mended, and all that is left, succeeds."""
    share = crc32(key.encode()) % 100
    limit = 0
    for percentage, course in _PERCENTAGES:
        limit += percentage
        if share < limit and attempt <= course.attempts and not is_mended:
            return course
    return Course(_SOON[share % len(_SOON)], succeeded=True)


class Callbacks:
    """Makes the calls, and keeps what was said and how it was taken.

    Thousands wait while the API is away. The loop that makes them is the receiver's and the network's as well, so they
    cost little and go a few at a time: a receiver that stood still for seconds would look like one that hangs.
    """

    def __init__(self, api_url: Callable[[], str]) -> None:
        self.made: list[Callback] = []
        self.refused: list[str] = []
        self._api_url = api_url
        self._attempts: Counter[str] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def settled(self) -> None:
        """Wait until everything was said and answered."""
        while self._calls:
            await asyncio.gather(*self._calls)

    async def accepted(self, headers: Mapping[str, str], key: str, schedule_id: str, *, is_mended: bool) -> None:
        """Return when the 202 is to be sent; the rest of the course goes on by itself."""
        self._attempts[key] += 1
        course = course_of(key, self._attempts[key], is_mended=is_mended)
        if course.succeeded is None:
            return
        url = self._api_url() + headers["X-Scheduler-Callback-Url"]
        token = headers["X-Scheduler-Callback-Token"]
        call = asyncio.create_task(self._call(url, token, key, schedule_id, course))
        self._calls.add(call)
        call.add_done_callback(partial(forget_done, self._calls))
        if course.before_answering:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(call), _WAITS_BEFORE_ANSWERING)

    async def _call(self, url: str, token: str, key: str, schedule_id: str, course: Course) -> None:
        assert course.succeeded is not None
        await asyncio.sleep(course.after)
        sent_at = None
        while True:
            async with self._turns:
                sent_at = sent_at or time.time()
                status = await self._status(url, token, course.succeeded)
            if status is not None:
                break
            await asyncio.sleep(_TRY_AGAIN_AFTER)
        self.made.append(Callback(key, schedule_id, course.succeeded, sent_at, time.time(), status == HTTPStatus.OK))

    async def _status(self, url: str, token: str, succeeded: bool) -> int | None:
        """Return how the API took it; None where it gave no answer that counts."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.post(url, json={"success": succeeded}, headers=headers) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, OSError):
            return None
        if status not in _ANSWERS | _NO_ANSWERS:
            self.refused.append(f"callback {url}: {status} {text[:300]}")
        return None if status in _NO_ANSWERS else status
