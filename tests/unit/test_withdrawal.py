"""What leaves the queue with a change, and where it goes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.withdrawal import (
    Ending,
    QueuedOccurrence,
    leaves_no_trace,
    withdraw,
    withdraw_nothing,
    withdraw_remains,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def row(
    number: int = 1,
    *,
    kind: OccurrenceKind = OccurrenceKind.SCHEDULED,
    scheduled: float = 10,
    due: float | None = None,
    leased: float | None = None,
    tried: bool = False,
    awaiting: bool = False,
) -> QueuedOccurrence:
    """Return a row; instants in seconds from now, `leased` until then by dispatcher 7."""
    return QueuedOccurrence(
        UUID(int=number),
        kind,
        NOW + scheduled * SECOND,
        NOW + (scheduled if due is None else due) * SECOND,
        NOW - SECOND if leased is None else NOW + leased * SECOND,
        None if leased is None else 7,
        tried,
        NOW + (scheduled if due is None else due) * SECOND,
        is_awaiting=awaiting,
    )


STAYS, FORGOTTEN, CANCELLED, LEFT = "stays", "forgotten", "cancelled", "left"
AHEAD = row(scheduled=10)
HELD_AHEAD = row(scheduled=2, leased=15)
OVERDUE = row(scheduled=-1)
JITTERED = row(scheduled=-1, due=5)
UNDER_WAY = row(scheduled=-1, leased=15)
WAITING_TO_RETRY = row(scheduled=-60, tried=True)
AWAITING_ITS_CALLBACK = row(scheduled=-60, tried=True, awaiting=True)
MANUAL = row(kind=OccurrenceKind.MANUAL, scheduled=-1)
MANUAL_UNDER_WAY = row(kind=OccurrenceKind.MANUAL, scheduled=-1, leased=15)


@pytest.mark.parametrize(
    ("queued", "on_pause", "on_delete", "on_edit"),
    [
        (AHEAD, FORGOTTEN, FORGOTTEN, FORGOTTEN),
        (HELD_AHEAD, LEFT, LEFT, LEFT),
        (OVERDUE, CANCELLED, CANCELLED, CANCELLED),
        (JITTERED, CANCELLED, CANCELLED, CANCELLED),
        (UNDER_WAY, STAYS, STAYS, STAYS),
        (WAITING_TO_RETRY, CANCELLED, CANCELLED, STAYS),
        (AWAITING_ITS_CALLBACK, STAYS, CANCELLED, STAYS),
        (MANUAL, STAYS, CANCELLED, STAYS),
        (MANUAL_UNDER_WAY, STAYS, STAYS, STAYS),
    ],
)
def test_where_a_row_goes(queued: QueuedOccurrence, on_pause: str, on_delete: str, on_edit: str) -> None:
    for ending, wanted in ((Ending.PAUSED, on_pause), (Ending.DELETED, on_delete), (Ending.REPLANNED, on_edit)):
        withdrawal = withdraw([queued], NOW, ending)
        assert list(withdrawal.forgotten) == ([queued.id] if wanted == FORGOTTEN else []), ending
        assert list(withdrawal.cancelled) == ([queued.id] if wanted == CANCELLED else []), ending
        assert list(withdrawal.left) == ([queued.id] if wanted == LEFT else []), ending
        assert withdrawal.leaving == (frozenset() if wanted == STAYS else {queued.id})


@pytest.mark.parametrize(
    ("queued", "wanted"),
    [
        (AHEAD, FORGOTTEN),
        (HELD_AHEAD, FORGOTTEN),
        (OVERDUE, CANCELLED),
        (UNDER_WAY, STAYS),
        (WAITING_TO_RETRY, CANCELLED),
        (MANUAL, STAYS),
    ],
)
def test_what_a_pause_left_behind_is_gone_before_the_schedule_is_planned_anew(
    queued: QueuedOccurrence, wanted: str
) -> None:
    remains = withdraw_remains([queued], NOW)
    assert list(remains.forgotten) == ([queued.id] if wanted == FORGOTTEN else [])
    assert list(remains.cancelled) == ([queued.id] if wanted == CANCELLED else [])
    assert (remains.holders, remains.returned_run_count) == ((), 0)


@pytest.mark.parametrize(
    ("kind", "was_tried", "seconds_ahead", "leaves_none"),
    [
        ("SCHEDULED", False, 1, True),
        ("SCHEDULED", False, -1, False),
        ("SCHEDULED", True, 1, False),
        ("MANUAL", False, 1, False),
        ("BACKFILL", False, 1, False),
    ],
)
def test_only_an_untried_instant_of_the_plan_that_is_still_ahead_leaves_no_trace(
    kind: str, was_tried: bool, seconds_ahead: int, leaves_none: bool
) -> None:
    assert leaves_no_trace(kind, was_tried, NOW + seconds_ahead * SECOND, NOW) is leaves_none


def test_runs_are_returned_for_planned_occurrences_only() -> None:
    rows = [row(1), row(2, scheduled=-1), row(3, kind=OccurrenceKind.MANUAL), row(4, scheduled=-1, leased=15)]
    assert withdraw(rows, NOW, Ending.DELETED).returned_run_count == 2


def test_a_run_that_was_dispatched_or_asked_for_is_not_returned() -> None:
    rows = [WAITING_TO_RETRY, msgspec.structs.replace(row(5, scheduled=-1), is_requested=True)]
    assert withdraw(rows, NOW, Ending.PAUSED).returned_run_count == 0


def test_every_holder_of_a_living_lease_has_to_let_go_until_the_last_lease_ends() -> None:
    rows = [row(1, leased=5), row(2, leased=9), row(3), row(4, scheduled=-1, leased=3)]
    for withdrawal in (withdraw(rows, NOW, Ending.PAUSED), withdraw_nothing(rows, NOW)):
        assert withdrawal.holders == [7]
        assert withdrawal.held_until == NOW + 9 * SECOND


def test_nobody_has_to_let_go_of_what_nobody_holds() -> None:
    withdrawal = withdraw([row(1), row(2, leased=-1)], NOW, Ending.PAUSED)
    assert (withdrawal.holders, withdrawal.held_until) == ([], None)
