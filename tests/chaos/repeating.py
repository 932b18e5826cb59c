"""What all that repeats a request until it is answered has in common."""

import asyncio
from typing import Final

import httpx

NO_ANSWER: Final = httpx.TransportError, AttributeError
"""Anyio raises the latter where a connection breaks while it is opened: its socket is gone when asked for its peer."""


def forget_done(running: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    """Forget a task that is done; one that failed stays, for whoever waits for all to hear of it."""
    if task.cancelled() or task.exception() is None:
        running.discard(task)
