"""Lines: the unfinished occurrences of one schedule in their order, and who of them may start (domain/overlap.py)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.callback import Callback


class Standing(Struct, frozen=True, gc=False):
    """How a leased occurrence stands: how many are ahead of it, and what became of the attempt it had before.

    `ahead_count` is counted up to overlap.MOST_COUNTED. An attempt that `is_awaiting` its callback began at `began_at`;
    a `callback` may be there before its attempt was recorded as awaiting it.
    """

    ahead_count: int
    has_started: bool
    is_awaiting: bool
    began_at: datetime | None
    callback: Callback | None


class Decided(Struct, frozen=True, gc=False):
    """What becomes of an occurrence that asked: it starts, or is given back and asks again after a `wait`."""

    claimed: Claimed
    wait: timedelta | None


class HeldLines(Protocol):
    """Lines in which nobody else starts anything until the holder is done."""

    @property
    def standings(self) -> Mapping[UUID, Standing]:
        """Those whose lease is still ours, by occurrence."""

    async def decide(self, decided: Sequence[Decided]) -> set[UUID]:
        """Store the decisions, fenced by the leases; return the occurrences that still were ours."""


class Lines(Protocol):
    def held(self, claimed: Sequence[Claimed], now: datetime) -> AbstractAsyncContextManager[HeldLines]:
        """Hold the lines that these stand in, for the length of the context; all of these are due by `now`."""
