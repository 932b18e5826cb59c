"""What becomes of the occurrences in the queue when their schedule is paused, deleted or planned anew.

Nothing disappears: an instant whose time has come ends in the ledger as CANCELLED with a reason. Only what lies ahead
is forgotten without a trace, because it is either planned anew or no longer expected.

What a dispatcher holds is never taken from it. It may start an occurrence between the moment of this decision and the
commit that makes it true, which a database that stalls can put seconds apart; if it then vanished as well, a delivery
would be known to nobody. So such a row is left to its holder: it is told to let go, and whoever claims the row
afterwards finds the schedule as it is by then, and ends the row or forgets it (docs/decisions/0007).
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
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

    @property
    def is_planned(self) -> bool:
        """Tell what its schedule's plan made due from what a person asked for, a replay of it among them."""
        return self.kind == OccurrenceKind.SCHEDULED and not self.is_requested

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
    DISABLED = "schedule-disabled"
    DELETED = "schedule-deleted"
    REPLANNED = "schedule-changed"
    BY_HAND = "cancelled-by-hand"


class Withdrawal(Struct, frozen=True):
    """`forgotten` leave without a trace, `cancelled` for the ledger, `left` as soon as their holders have let go.

    The `holders` have leases until `held_until`, of these rows or of such as stay.
    """

    forgotten: Sequence[UUID] = ()
    cancelled: Sequence[UUID] = ()
    left: Sequence[UUID] = ()
    returned_run_count: int = 0
    holders: Sequence[int] = ()
    held_until: datetime | None = None

    @property
    def leaving(self) -> frozenset[UUID]:
        """Everything that is part of no plan any more, at once or once it is let go."""
        return frozenset((*self.forgotten, *self.cancelled, *self.left))


def withdraw(queued: Sequence[QueuedOccurrence], now: datetime, ending: Ending) -> Withdrawal:
    """Decide about each row. An attempt that may be under way is left to finish, whatever happens to its schedule.

    Rows that were tried and wait for another attempt end with a pause or a deletion, since no attempt may start after
    it; an edit leaves them, since what was started finishes. An attempt that waits for its callback finishes too, but
    for a deletion, after which nobody could say what a callback means. Manual occurrences are part of no plan: only a
    deletion ends them. A backfill is no part of the plan either, but a pause stops what is left of it.
    """
    leaving = [row for row in queued if not _is_under_way(row, now) and _is_ended_by(row, ending)]
    free = [row for row in leaving if not row.is_leased(now)]
    return _with_holders(
        queued,
        now,
        Withdrawal(
            forgotten=[row.id for row in free if _is_forgotten(row, now)],
            cancelled=[row.id for row in free if not _is_forgotten(row, now)],
            left=[row.id for row in leaving if row.is_leased(now)],
            returned_run_count=sum(row.is_planned and not row.was_tried for row in leaving),
        ),
    )


def withdraw_nothing(queued: Sequence[QueuedOccurrence], now: datetime) -> Withdrawal:
    """Leave every row where it is; holders still have to let go, since they hold the schedule as it was."""
    return _with_holders(queued, now, Withdrawal())


def withdraw_remains(queued: Sequence[QueuedOccurrence], now: datetime) -> Withdrawal:
    """Decide about what a pause has left in the queue, for a schedule that is to be active again and planned anew.

    Whoever still holds a row ahead of its instant holds it to end it: the row must go before its instant is planned
    again, or it would take the new one with it. Nobody has to let go of anything. What a person asked for stays.
    """
    planned = [row for row in queued if row.is_planned]
    leaving = [row for row in planned if not row.is_awaiting and not _is_under_way(row, now)]
    return Withdrawal(
        forgotten=[row.id for row in leaving if _is_forgotten(row, now)],
        cancelled=[row.id for row in leaving if not _is_forgotten(row, now)],
    )


def leaves_no_trace(kind: str, was_tried: bool, scheduled_for: datetime, now: datetime) -> bool:
    """Tell a withdrawn occurrence that is not expected any more from one that the ledger has to account for."""
    return kind == OccurrenceKind.SCHEDULED and not was_tried and scheduled_for >= now


def _is_under_way(row: QueuedOccurrence, now: datetime) -> bool:
    """Tell what has had its instant and is leased: delivered, or held until its next attempt, which is its holder's.

    Not so what waits for its turn or its place, claimed ahead of its tag (`application.prepare_delivery.fire_at`).
    """
    waits = not row.was_tried and row.start_tag > max(now, row.due_at + MISFIRE_THRESHOLD)
    return row.is_leased(now) and row.due_at <= now and not waits


def _is_ended_by(row: QueuedOccurrence, ending: Ending) -> bool:
    match ending:
        case Ending.DELETED | Ending.BY_HAND:
            return True
        case Ending.PAUSED | Ending.DISABLED:
            return row.kind != OccurrenceKind.MANUAL and not row.is_awaiting
        case Ending.REPLANNED:
            return row.kind == OccurrenceKind.SCHEDULED and not row.was_tried


def _is_forgotten(row: QueuedOccurrence, now: datetime) -> bool:
    return leaves_no_trace(row.kind, row.was_tried, row.scheduled_for, now)


def _with_holders(queued: Sequence[QueuedOccurrence], now: datetime, withdrawal: Withdrawal) -> Withdrawal:
    held = [row for row in queued if row.is_leased(now) and row.leased_by is not None]
    return replace(
        withdrawal,
        holders=sorted({row.leased_by for row in held if row.leased_by is not None}),
        held_until=max((row.lease_until for row in held), default=None),
    )
