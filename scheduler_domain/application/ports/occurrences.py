"""The history of a tenant: what is due, what ended, and how. Reading only, but for the manual occurrence."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.domain.occurrence import Occurrence, Status

COUNTED_UP_TO = 10_000


class OccurrencesWanted(Struct, frozen=True, kw_only=True):
    """Which occurrences; newest first by the instant they were scheduled for. `to` is exclusive."""

    status: Status | None = None
    schedule_id: UUID | None = None
    from_: datetime | None = None
    to: datetime | None = None
    page: int = 1
    page_size: int = 20
    after: str | None = None


class OccurrencesPage(Struct, frozen=True):
    """`total` is exact up to COUNTED_UP_TO and stops there."""

    occurrences: Sequence[Occurrence]
    total: int
    next_cursor: str | None


class Occurrences(Protocol):
    async def by_id(self, tenant_id: str, occurrence_id: UUID) -> Occurrence | None: ...

    async def wanted(self, tenant_id: str, wanted: OccurrencesWanted) -> OccurrencesPage: ...

    async def add_manual(
        self, tenant_id: str, schedule_id: UUID, occurrence_id: UUID, at: datetime, remembered: RememberedAnswer | None
    ) -> bool:
        """Put a manual occurrence into the due queue; False where there is no such schedule.

        Raises AnswerTaken, and Conflict where the very same occurrence exists already.
        """
