"""Results on their way back while the request is still being read.

Many clients read nothing before they have sent everything. Waiting for such a client to read would be waiting for each
other for ever, so reading never waits for writing: what the client does not take is kept, up to a bound, and beyond
it results of lines that went well are left out, then those of others. How many is in the last line.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

MOST_KEPT: Final = 8 * 1024 * 1024
Send = Callable[[Any], Awaitable[None]]


class Outlet:
    """Writes chunks in the background, in order. The response begins with the first."""

    def __init__(self, send: Send, start: dict[str, Any]) -> None:
        self._send = send
        self._start = start
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._there_is_more = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._is_ended = False
        self.omitted_count = 0

    @property
    def has_begun(self) -> bool:
        return self._writing is not None

    def offer(self, chunk: bytes, *, most: int = MOST_KEPT) -> bool:
        """Take the chunk, unless more than `most` bytes are waiting for the client to read them; say whether."""
        if self._kept_size > most:
            return False
        self._kept.append(chunk)
        self._kept_size += len(chunk)
        self._there_is_more.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return True

    async def end(self, last: bytes) -> None:
        """Write all that is kept, then `last`, and end the response."""
        self._is_ended = True
        self.offer(last, most=1 << 62)
        assert self._writing is not None
        await self._writing

    def abandon(self) -> None:
        """Stop writing: the client is gone."""
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self) -> None:
        await self._send(self._start)
        while True:
            await self._there_is_more.wait()
            self._there_is_more.clear()
            is_last = self._is_ended
            chunk, self._kept = b"".join(self._kept), []
            await self._send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
            self._kept_size -= len(chunk)
            if is_last:
                return
