"""Connections that nobody has to clean up after: handed from one request to the next as they are.

asyncpg's own pool resets a connection at every release, by a query unless told otherwise and by a task in any case:
measured, a tenth of the cost of a read. Here giving back is putting on a stack. It rests on one rule, that nothing
session-level is ever set; what could break the rule is looked at instead: a connection in a transaction is dropped.

The last one used is the next one given, so that few stay warm and the others are closed by being away.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

import asyncpg

Connection: TypeAlias = asyncpg.Connection
_FAREWELL: Final = 1.0


class Connections:
    """At most `size` connections, opened when they are first needed. For one event loop."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, longest_wait: timedelta) -> None:
        self._connect = connect
        self._size = size
        self._longest_wait = longest_wait.total_seconds()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._open_count = 0
        self._is_closing = False

    @property
    def open_count(self) -> int:
        return self._open_count

    @property
    def idle_count(self) -> int:
        return len(self._idle)

    async def take(self) -> Connection:
        """Return a connection. TimeoutError where none is free in time, OSError or asyncpg's where none can be made."""
        while self._idle:
            connection = self._idle.pop()
            if self._is_usable(connection):
                return connection
        async with asyncio.timeout(self._longest_wait):
            while self._open_count >= self._size:
                handed_over = await self._handed_over()
                if handed_over is not None and self._is_usable(handed_over):
                    return handed_over
            return await self._opened()

    def give_back(self, connection: Connection) -> None:
        """Let the next one have the connection; one that is closed, or in a transaction, is replaced when needed."""
        if self._is_closing or (not connection.is_closed() and connection.is_in_transaction()):
            connection.terminate()
        if connection.is_closed():
            self._open_count -= 1
            self._pass_on(None)
        elif not self._pass_on(connection):
            self._idle.append(connection)

    def cut_idle(self) -> None:
        """Cut every idle connection: what befell one on its server has mostly befallen all."""
        idle, self._idle = self._idle, []
        self._open_count -= len(idle)
        for connection in idle:
            connection.terminate()

    async def close(self) -> None:
        """Say goodbye on every idle connection, briefly; those in use are cut when they are given back."""
        self._is_closing = True
        idle, self._idle = self._idle, []
        self._open_count -= len(idle)
        await asyncio.gather(*(connection.close(timeout=_FAREWELL) for connection in idle), return_exceptions=True)

    def _is_usable(self, connection: Connection) -> bool:
        if connection.is_closed():
            self._open_count -= 1
            return False
        return True

    async def _opened(self) -> Connection:
        self._open_count += 1  # counted before it is there, so that no more than `size` are on their way
        try:
            return await self._connect()
        except BaseException:
            self._open_count -= 1
            self._pass_on(None)
            raise

    async def _handed_over(self) -> Connection | None:
        """Wait in line for a connection that is given back; None where there may be room to open one instead."""
        place: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except BaseException:
            self._leave(place)
            raise

    def _leave(self, place: "asyncio.Future[Connection | None]") -> None:
        """Give up waiting; what was handed over at this very moment goes to the next."""
        if place.done() and not place.cancelled():
            handed_over = place.result()
            if handed_over is None:
                self._pass_on(None)
            else:
                self.give_back(handed_over)
        elif place in self._waiting:
            self._waiting.remove(place)

    def _pass_on(self, connection: Connection | None) -> bool:
        """Hand the connection, or the room for one, to whoever has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False
