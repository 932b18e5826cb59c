"""The dead letters of a tenant: occurrences that ended as FAILED, and the way back for them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.ports.answers import RememberedAnswer


class DeadLettersWanted(Struct, frozen=True, kw_only=True):
    """Which dead letters, by the instant they were scheduled for; `to` is exclusive, `after` a cursor of this list."""

    schedule_id: UUID | None = None
    from_: datetime | None = None
    to: datetime | None = None
    after: str | None = None


class Replayed(Struct, frozen=True):
    """How many went back to the queue, how many could not, and where the next batch begins; None: there is none."""

    count: int
    left_count: int
    next_cursor: str | None


class DeadLetters(Protocol):
    async def replay(
        self, tenant_id: str, occurrence_id: UUID, wait: timedelta, remembered: RememberedAnswer | None
    ) -> bool:
        """Move a dead letter back to the queue, to be tried again after `wait`, and keep the answer, all or nothing.

        False where it is none (any more), its schedule is gone or disabled, or it was tried too often.
        Raises AnswerTaken.
        """

    async def replay_wanted(
        self,
        tenant_id: str,
        wanted: DeadLettersWanted,
        most: int,
        waits: Callable[[int], Sequence[timedelta]],
        remembered: Callable[[Replayed], RememberedAnswer | None],
    ) -> Replayed:
        """Move `most` back, the oldest first, each to be tried after its wait; what cannot be moved is passed by.

        What fails again is found again, behind the cursor: whoever goes on from cursor to cursor comes to an end.
        Raises AnswerTaken, and InvalidField where `after` is no cursor of this list.
        """
