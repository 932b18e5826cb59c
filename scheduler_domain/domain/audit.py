"""Audit: what a rule says should have fired, against what is known to have become of it.

Only the rule as it stands can be recomputed, so an audit reaches back to when it came into force: to the schedule's
creation, its last edit of when it fires, or its last resume without catch-up. Nothing is expected of a time that was
paused, or from a ledger that has forgotten.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.backfill import PastInstant
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.planning import Cursor
from scheduler_domain.domain.schedule import ScheduleState

MOST_INSTANTS: Final = 10_000
_JUST_BEFORE: Final = timedelta(microseconds=1)


class Account(Struct, frozen=True):
    """What an audit has to know of a schedule.

    `stopped_at` is when it was paused or disabled, if it is; `last_known_at` the newest instant of its plan that there
    is a row of; the ledger holds rows from `ledger_begins_at` on.
    """

    cursor: Cursor
    state: ScheduleState
    in_force_since: datetime
    stopped_at: datetime | None
    last_known_at: datetime | None
    ledger_begins_at: datetime
    now: datetime


class Known(Struct, frozen=True, gc=False):
    """An occurrence of the plan, queued or ended."""

    id: UUID
    scheduled_for: datetime
    status: Status


class Audit(Struct, frozen=True):
    """What was found in [from_, to), the part of the range that can be audited; both None: none of it can.

    `missing` are instants that should have a row and have none; `unexpected` rows at instants that the rule does not
    name.
    """

    from_: datetime | None
    to: datetime | None
    expected_count: int = 0
    found_count: int = 0
    missing: Sequence[PastInstant] = ()
    unexpected: Sequence[Known] = ()


def auditable_range(account: Account, from_: datetime, to: datetime) -> tuple[datetime, datetime] | None:
    """Return the part of [from_, to) that the rule as it stands accounts for, or None."""
    ends = [to, account.now]
    if account.stopped_at is not None:
        ends.append(account.stopped_at)
    if account.cursor.rule.max_runs is not None and account.cursor.next_fire_at is None:
        # Its runs are spent: what the rule names after the last of them is not expected.
        ends.append(account.in_force_since if account.last_known_at is None else account.last_known_at + _JUST_BEFORE)
    start, end = max(from_, account.in_force_since, account.ledger_begins_at), min(ends)
    return (start, end) if start < end else None


def compared(
    from_: datetime, to: datetime, expected: Sequence[PastInstant], known: Sequence[Known], elsewhere: Collection[UUID]
) -> Audit:
    """Return the audit; `elsewhere` are ids that exist although no row of `known` bears them: moved, or backfilled."""
    present = {item.id for item in known} | set(elsewhere)
    missing = [item for item in expected if present.isdisjoint((item.planned_id, item.id))]
    named = {item.planned_id for item in expected}
    unexpected = [item for item in known if item.id not in named]
    return Audit(from_, to, len(expected), len(expected) - len(missing), missing, unexpected)
