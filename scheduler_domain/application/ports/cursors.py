"""The planner's view of the store: schedules whose next instants are not in the due queue yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from scheduler_domain.domain.planning import Cursor, Plan


class Cursors(Protocol):
    async def due_between(self, from_: datetime, until: datetime, limit: int) -> Sequence[Cursor]:
        """Return the cursors whose first unplanned instant lies in [from_, until), earliest first."""

    async def record_plans(self, plans: Sequence[Plan]) -> int:
        """Insert what was planned and skipped and move the cursors, in one transaction.

        A cursor that moved or changed since it was read is left alone with all its rows. Returns how many occurrences
        were inserted.
        """

    async def set_aside(self, cursor: Cursor, reason: str) -> None:
        """Disable the schedule of a cursor that cannot be planned, so that one such row never stops the rest.

        One that was edited since is left alone: the edit may have mended it.
        """
