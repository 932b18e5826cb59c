"""What becomes of the occurrences in the queue when their schedule is paused, deleted or planned anew.

Nothing disappears: an instant whose time has come ends in the ledger as CANCELLED with a reason. Only what lies ahead
is forgotten without a trace, because it is either planned anew or no longer expected.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.occurrence import OccurrenceKind


class QueuedOccurrence(Struct, frozen=True, gc=False):
    """A row of the due queue as a change of its schedule finds it."""

    id: UUID
    kind: OccurrenceKind
    scheduled_for: datetime
    due_at: datetime
    lease_until: datetime
    leased_by: int | None
    was_tried: bool
    start_tag: datetime
    is_last: bool = False
    is_requested: bool = False
    is_awaiting: bool = False
    """Its attempt was accepted and waits for the receiver's callback."""

    def is_leased(self, now: datetime) -> bool:
        return self.lease_until > now

    def is_under_way(self, now: datetime) -> bool:
        """Tell what a dispatcher may be delivering: leased, and its instant or its next attempt's has come.

        Under way is also what its receiver has accepted, whoever holds it.
        """
        return self.is_awaiting or (self.is_leased(now) and max(self.due_at, self.start_tag) <= now)


class Ending(StrEnum):
    """Why occurrences are withdrawn; the value is the reason that the ledger keeps."""

    PAUSED = "schedule-paused"
    DELETED = "schedule-deleted"
    REPLANNED = "schedule-changed"
    BY_HAND = "cancelled-by-hand"


class Withdrawal(Struct, frozen=True):
    """`forgotten` leave without a trace, `cancelled` for the ledger; the `holders` have leases until `held_until`."""

    forgotten: Sequence[UUID] = ()
    cancelled: Sequence[UUID] = ()
    returned_run_count: int = 0
    holders: Sequence[int] = ()
    held_until: datetime | None = None


def withdraw(queued: Sequence[QueuedOccurrence], now: datetime, ending: Ending) -> Withdrawal:
    """Decide about each row. An attempt that may be under way is left to finish, whatever happens to its schedule.

    Rows that were tried and wait for another attempt end with a pause or a deletion, since no attempt may start after
    it; an edit leaves them, since what was started finishes. An attempt that waits for its callback finishes too, but
    for a deletion, after which nobody could say what a callback means. Manual occurrences are part of no plan: only a
    deletion ends them. A backfill is no part of the plan either, but a pause stops what is left of it.
    """
    leaving = [row for row in queued if _leaves(row, now, ending)]
    forgotten = [row for row in leaving if _is_forgotten(row, now)]
    cancelled = [row for row in leaving if not _is_forgotten(row, now)]
    planned_count = sum(row.kind == OccurrenceKind.SCHEDULED for row in leaving)
    return _with_holders(
        queued, now, Withdrawal([row.id for row in forgotten], [row.id for row in cancelled], planned_count)
    )


def withdraw_nothing(queued: Sequence[QueuedOccurrence], now: datetime) -> Withdrawal:
    """Leave every row where it is; holders still have to let go, since they hold the schedule as it was."""
    return _with_holders(queued, now, Withdrawal())


def _leaves(row: QueuedOccurrence, now: datetime, ending: Ending) -> bool:
    is_held = row.lease_until > now
    if is_held and row.due_at <= now:
        return False
    match ending:
        case Ending.DELETED | Ending.BY_HAND:
            return True
        case Ending.PAUSED:
            return row.kind != OccurrenceKind.MANUAL and not row.is_awaiting
        case Ending.REPLANNED:
            return row.kind == OccurrenceKind.SCHEDULED and not row.was_tried


def _is_forgotten(row: QueuedOccurrence, now: datetime) -> bool:
    return row.kind == OccurrenceKind.SCHEDULED and not row.was_tried and row.scheduled_for >= now


def _with_holders(queued: Sequence[QueuedOccurrence], now: datetime, withdrawal: Withdrawal) -> Withdrawal:
    held = [row for row in queued if row.lease_until > now and row.leased_by is not None]
    return Withdrawal(
        withdrawal.forgotten,
        withdrawal.cancelled,
        withdrawal.returned_run_count,
        holders=sorted({row.leased_by for row in held if row.leased_by is not None}),
        held_until=max((row.lease_until for row in held), default=None),
    )
