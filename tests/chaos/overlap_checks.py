"""Whether schedules that do not let their occurrences overlap had one at a time, and skipped for a reason only.

An occurrence runs from the first moment at which an attempt at it was started until it ended. When it started its own
envelope says, when it ended the ledger; and that did not end it before its receiver had answered. A request that a
stopped dispatcher had under way may arrive when its successor has ended the occurrence: that is started earlier, and
passes (docs/semantics.md).
"""

from collections.abc import Iterator
from math import inf

from tests.chaos.evidence import Defect, Evidence
from tests.chaos.history import Recorded

CLOCK_TOLERANCE = 0.020
RECORDED_WITHIN = 10.0
"""How long an occurrence may look unfinished that has ended: a lease, and an outage of the database."""
_COUNTED_AHEAD = {"SKIP": 1, "BUFFER_ONE": 2}


def overlap_defects(evidence: Evidence) -> Iterator[Defect]:
    if evidence.story.overlap != "ALLOW_ALL":
        yield from _together(evidence)
        yield from _ended_before_it_was_answered(evidence)


def may_be_skipped_for_overlap(evidence: Evidence, row: Recorded) -> bool:
    """Say whether so many others may have been unfinished as its policy asks for; no backfill ever is."""
    counted = _COUNTED_AHEAD.get(evidence.story.overlap)
    others = [
        other
        for other in evidence.rows
        if other.id != row.id
        and other.scheduled_for <= row.ended_at
        and (not isinstance(other, Recorded) or other.ended_at + RECORDED_WITHIN >= row.scheduled_for)
    ]
    return counted is not None and row.kind != "BACKFILL" and len(others) >= counted


def _together(evidence: Evidence) -> Iterator[Defect]:
    ended = {row.id: row.ended_at for row in evidence.ledger}
    began: dict[str, float] = {}
    for delivery in evidence.deliveries:
        began[delivery.key] = min(delivery.fired_at, began.get(delivery.key, inf))
    longest, until = "", -inf
    for key, at in sorted(began.items(), key=lambda item: item[1]):
        if at < until - CLOCK_TOLERANCE and not _was_changed(evidence, began[longest], at):
            yield evidence.defect("overlap", at, f"{key} started {until - at:.3f} s before {longest} had ended")
        if ended.get(key, inf) > until:
            longest, until = key, ended.get(key, inf)


def _was_changed(evidence: Evidence, start: float, end: float) -> bool:
    """Say whether a change may have withdrawn what a lost dispatcher had delivered: it ended with that."""
    return any(change.answered_at >= start and change.sent_at <= end for change in evidence.story.changes[1:])


def _ended_before_it_was_answered(evidence: Evidence) -> Iterator[Defect]:
    for row in evidence.ledger:
        answers = [it.answered_at for it in evidence.deliveries if it.key == row.id and it.accepted]
        first = min((at for at in answers if at is not None), default=-inf)
        if row.status == "COMPLETED" and row.ended_at < first - CLOCK_TOLERANCE:
            detail = f"{row.id} ended {first - row.ended_at:.3f} s before it was answered"
            yield evidence.defect("ended-early", row.scheduled_for, detail)
