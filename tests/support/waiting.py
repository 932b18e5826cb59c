"""Waiting for an observed condition with a deadline: the only place of the suite where time passes unused."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

_EVERY_SEC = 0.01

Observed = TypeVar("Observed")


@overload
async def eventually(probe: Callable[[], Awaitable[Observed | None]], *, within: float) -> Observed: ...
@overload
async def eventually(probe: Callable[[], Observed | None], *, within: float) -> Observed: ...
async def eventually(probe: Callable[[], Any], *, within: float) -> Any:
    """Call the probe until it returns something truthy, and return that; it may fail by assertion until then.

    After `within` seconds: the probe's own AssertionError, or one that quotes what it last returned.
    """
    deadline = time.monotonic() + within
    while True:
        last_call = time.monotonic() >= deadline
        try:
            observed = probe()
            if inspect.isawaitable(observed):
                observed = await observed
        except AssertionError:
            if last_call:
                raise
        else:
            if observed:
                return observed
            if last_call:
                raise AssertionError(f"still {observed!r} after {within} s: {_wording(probe)}")
        await asyncio.sleep(_EVERY_SEC)


def _wording(probe: Callable[[], object]) -> str:
    try:
        return inspect.getsource(probe).strip()
    except (OSError, TypeError):
        return repr(probe)
