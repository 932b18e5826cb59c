"""Tasks that go on beside a run."""

import asyncio


def forget_done(running: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    """Forget a task that is done; one that failed stays, for whoever waits for all to hear of it."""
    if task.cancelled() or task.exception() is None:
        running.discard(task)
