"""Callbacks: what receivers say of work that they accepted, on its way to the dispatcher that records it."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from scheduler_domain.domain.callback import CallbackRight, Expectation


class HeldExpectation(Protocol):
    """An unfinished occurrence that nobody else changes until the holder is done."""

    @property
    def expectation(self) -> Expectation: ...

    async def note(self, succeeded: bool, message: str | None) -> None:
        """Keep what was said; a dispatcher is told at once."""


class Callbacks(Protocol):
    async def key(self) -> bytes:
        """Return the installation's key of callback tokens (domain/callback.py)."""

    def held(self, right: CallbackRight) -> AbstractAsyncContextManager[HeldExpectation | None]:
        """Hold the occurrence for the length of the context; None where it has ended, or never was."""

    async def is_recorded(self, right: CallbackRight) -> bool:
        """Return whether a dispatcher has recorded what was noted."""
