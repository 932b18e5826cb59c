"""What all that repeats a request until it is answered has in common."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx


class RenewedClient:
    """An HTTP client that is made anew where it would be of no use any more.

    Where a connection breaks while it is opened, anyio asks a socket that is gone for its peer. The AttributeError
    leaves the connection in the pool for good; a hundred of them, and no request gets one.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._clients = [make()]

    async def answer(self, send: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response | None:
        """Return the answer, None where there was none."""
        client = self._clients[-1]
        try:
            return await send(client)
        except httpx.TransportError:
            return None
        except AttributeError:
            if client is self._clients[-1]:
                self._clients.append(self._make())
            return None

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


def forget_done(running: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    """Forget a task that is done; one that failed stays, for whoever waits for all to hear of it."""
    if task.cancelled() or task.exception() is None:
        running.discard(task)
