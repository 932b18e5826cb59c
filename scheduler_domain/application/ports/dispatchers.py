"""What a dispatcher tells the others of itself, and what it is told to let go of."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.misfire import Absence


class Revocation(Struct, frozen=True, gc=False):
    """A schedule that was deleted, paused or edited while somebody held occurrences of it.

    Where it names an occurrence, only that one was cancelled.
    """

    sequence: int
    tenant_id: str
    schedule_id: UUID
    occurrence_id: UUID | None = None


class Dispatchers(Protocol):
    async def beat(self, number: int, obeyed: Sequence[int]) -> Absence | None:
        """Say that this dispatcher lives and which revocations it obeyed; return the last absence of them all.

        A heartbeat that is the first for `domain.misfire.ABSENT_AFTER` ends an absence, for all dispatchers alike.
        """

    async def recent_revocations(self) -> Sequence[Revocation]:
        """Return the revocations of the last minute and those whose leases last yet, obeyed or not."""
