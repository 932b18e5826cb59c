"""How the process tree waits: for whichever comes first, for a thread to its end, for a port to answer."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")
_POLL = 0.02
_ANSWERS_WITHIN = 2.0


async def first_to_end(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, then cancel the others and wait for them; raises what the first one raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


async def to_its_end(work: Callable[[], Result]) -> Result:
    """Run blocking work in a thread. Cancelled meanwhile, wait for it all the same: it has effects."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


async def until_ready(host: str, port: int, path: str, within: timedelta) -> None:
    """Return once GET `path` answers 200; TimeoutError if it does not in time."""
    async with asyncio.timeout(within.total_seconds()):
        while await _status(host, port, path) != 200:  # another process's port sends no event
            await asyncio.sleep(_POLL)


async def _status(host: str, port: int, path: str) -> int | None:
    """Return the status of one plain GET, or None where nothing answers yet."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None
