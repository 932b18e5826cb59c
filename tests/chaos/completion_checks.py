"""Whether what is completed by callback ended as its receiver said, and was tried again for a reason only."""

from collections.abc import Iterator

from tests.chaos.definitions import TIMEOUT_SECONDS
from tests.chaos.evidence import Defect, Evidence
from tests.chaos.expectation import may_be_withdrawn
from tests.chaos.history import Delivery, Recorded

CLOCK_TOLERANCE = 0.020


def completion_defects(evidence: Evidence) -> Iterator[Defect]:
    if evidence.story.awaits_callback:
        yield from _not_as_called(evidence)
        for row in evidence.ledger:
            if row.status == "COMPLETED":
                yield from _completed(evidence, row)


def _not_as_called(evidence: Evidence) -> Iterator[Defect]:
    """What was called back as done and taken as that is COMPLETED, unless it was withdrawn after the call."""
    rows = {row.id: row for row in evidence.ledger}
    drained = {it.key for it in evidence.deliveries if it.scheduled_for <= evidence.horizon}
    for callback in evidence.callbacks:
        if not (callback.succeeded and callback.was_taken):
            continue
        row = rows.get(callback.key)
        if row is None and callback.key in drained:
            yield evidence.defect("callback-lost", None, f"{callback.key} was called back, and has no row")
        if row is None:
            continue
        if row.status == "CANCELLED" and may_be_withdrawn(
            evidence.story, row.kind, row.scheduled_for, callback.sent_at, row.reason
        ):
            continue
        if row.status != "COMPLETED":
            detail = f"{callback.key} was called back as done, and is {row.status} ({row.reason})"
            yield evidence.defect("callback-lost", row.scheduled_for, detail)


def _completed(evidence: Evidence, row: Recorded) -> Iterator[Defect]:
    said = [callback for callback in evidence.callbacks if callback.key == row.id]
    if not any(it.succeeded and it.sent_at <= row.ended_at + CLOCK_TOLERANCE for it in said):
        yield evidence.defect("uncalled", row.scheduled_for, f"{row.id} is COMPLETED, and nobody had said so by then")
    arrived = sum(delivery.key == row.id for delivery in evidence.deliveries)
    reasons = _reasons_to_try_again(evidence, row.id) + max(row.attempts - arrived, 0)
    if row.attempts - 1 > reasons:
        detail = f"{row.id} took {row.attempts} attempts, for {reasons} of which there was a reason"
        yield evidence.defect("impatient", row.scheduled_for, detail)


def _reasons_to_try_again(evidence: Evidence, key: str) -> int:
    """Count what may have failed an attempt: a refusal, a word of failure that was taken, a deadline without a word."""
    said = [callback for callback in evidence.callbacks if callback.key == key and callback.was_taken]
    count = sum(not callback.succeeded for callback in said)
    for delivery in (it for it in evidence.deliveries if it.key == key):
        deadline = delivery.arrived_at + TIMEOUT_SECONDS
        in_time = any(delivery.arrived_at <= it.sent_at and it.answered_at <= deadline for it in said)
        count += not (delivery.accepted and in_time)
    return count


def repeated(evidence: Evidence) -> int:
    """Count the attempts that reached a receiver which had accepted one before and was still at work on it."""
    accepted = sorted((it for it in evidence.deliveries if it.accepted), key=lambda it: it.fired_at)
    first: dict[str, Delivery] = {}
    count = 0
    for delivery in accepted:
        before = first.get(delivery.key)
        if before is not None and not _is_over(evidence, before, delivery.fired_at):
            count += 1
        first[delivery.key] = delivery
    return count


def _is_over(evidence: Evidence, accepted: Delivery, at: float) -> bool:
    """Say whether the attempt had failed by then."""
    if not evidence.story.awaits_callback:
        return False
    failed = any(it.key == accepted.key and not it.succeeded and it.sent_at <= at for it in evidence.callbacks)
    return failed or at >= accepted.arrived_at + TIMEOUT_SECONDS
