"""Whether each instant fired, once its time had come, under one key, and never against a change.

The ledger's word alone is never believed: what it calls COMPLETED has to have arrived.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import inf

from tests.chaos.evidence import Defect, Evidence
from tests.chaos.expectation import expected, is_allowed, may_be_withdrawn, phases, silences
from tests.chaos.history import Action, Chain, Change, Delivery, Recorded, Story
from tests.chaos.overlap_checks import may_be_skipped_for_overlap

EARLY_TOLERANCE = 0.050
"""Of the promise itself: never more than 50 ms before the instant."""
CLOCK_TOLERANCE = 0.020
"""How far a dispatcher's idea of the database's clock, and its milliseconds, may be off when an attempt is stamped."""
CHAIN_SLACK = 5.0


def firing_defects(evidence: Evidence) -> Iterator[Defect]:
    yield from _missing(evidence)
    yield from _ended_without_delivery(evidence)
    yield from _unrecorded(evidence)
    yield from _early(evidence)
    yield from _not_expected(evidence)
    yield from _after_change(evidence)
    yield from _keys_that_differ(evidence)
    if isinstance(evidence.story.rule, Chain):
        yield from _chain(evidence)


def _missing(evidence: Evidence) -> Iterator[Defect]:
    rows = Counter((row.kind, row.scheduled_for) for row in evidence.ledger)
    for row in evidence.queued:
        if row.scheduled_for <= evidence.horizon:
            yield evidence.defect("stuck", row.scheduled_for, f"{row.id} is in the queue and nobody delivers it")
    planned = {row.scheduled_for for row in evidence.rows if row.kind == "SCHEDULED"}
    for instant in sorted(expected(evidence.story, evidence.horizon) - planned):
        yield evidence.defect("missing", instant, "neither in the ledger nor in the queue")
    for (kind, at), count in rows.items():
        if count > 1:
            yield evidence.defect("recorded-twice", at, f"{count} rows in the ledger, all {kind}")


def _ended_without_delivery(evidence: Evidence) -> Iterator[Defect]:
    for row in evidence.ledger:
        match row.status:
            case "COMPLETED" if row.id not in evidence.accepted:
                yield evidence.defect("lost", row.scheduled_for, f"{row.id} is COMPLETED and never arrived")
            case "FAILED" if not _may_be_given_up(evidence, row):
                yield evidence.defect("failed", row.scheduled_for, f"{row.id}: {row.reason}")
            case "CANCELLED" if not may_be_withdrawn(
                evidence.story, row.kind, row.scheduled_for, _wanted_since(evidence, row), row.reason
            ):
                detail = f"CANCELLED ({row.reason}), no change says so"
                yield evidence.defect("unexplained", row.scheduled_for, detail)
            case "SKIPPED" if not _may_be_skipped(evidence, row):
                yield evidence.defect("unexplained", row.scheduled_for, f"SKIPPED ({row.reason})")


def _may_be_skipped(evidence: Evidence, row: Recorded) -> bool:
    if row.reason == "overlap":
        is_explained = may_be_skipped_for_overlap(evidence, row)
    else:
        is_explained = row.reason == "misfire-coalesced" and row.kind == "SCHEDULED" and _was_coalesced(evidence, row)
    return is_explained and row.id not in evidence.accepted


def _was_coalesced(evidence: Evidence, row: Recorded) -> bool:
    """Say whether it was missed for want of dispatchers, and a later one of these fired or was withdrawn instead of it.

    All schedules of a run plan a minute ahead, nothing is away for that long, and no policy skips everything.
    """
    absence = next((it for it in evidence.absences if it.began <= row.scheduled_for < it.ended), None)
    if absence is None:
        return False
    later = [it for it in evidence.planned if row.scheduled_for < it.scheduled_for <= absence.ended]
    is_changed = any(change.answered_at >= row.scheduled_for for change in evidence.story.changes)
    return is_changed or any(it.status != "SKIPPED" for it in later)


def _may_be_given_up(evidence: Evidence, row: Recorded) -> bool:
    """Say whether it was tried as often as it may be, since it was replayed for the last time."""
    since = evidence.replayed_at(row.id)
    attempts = [it for it in evidence.deliveries if it.key == row.id and it.fired_at >= since - CLOCK_TOLERANCE]
    return row.reason == "retries-exhausted" and len(attempts) >= evidence.story.most_attempts


def _wanted_since(evidence: Evidence, row: Recorded) -> float:
    """Return the earliest moment at which a change can have ended it: its instant, or when somebody asked for it."""
    asked = [backfill.sent_at for backfill in evidence.backfills_of(row.scheduled_for) if row.kind == "BACKFILL"]
    return max(row.scheduled_for, min(asked, default=row.scheduled_for), evidence.replayed_at(row.id))


def _unrecorded(evidence: Evidence) -> Iterator[Defect]:
    for delivery in evidence.deliveries:
        is_drained = delivery.scheduled_for <= evidence.horizon
        if delivery.accepted and is_drained and delivery.key not in evidence.known:
            yield evidence.defect("unrecorded", delivery.scheduled_for, f"{delivery.key} arrived and has no row")


def _early(evidence: Evidence) -> Iterator[Defect]:
    for delivery in evidence.deliveries:
        ahead = delivery.scheduled_for - min(delivery.arrived_at, delivery.fired_at)
        if ahead > EARLY_TOLERANCE:
            yield evidence.defect("early", delivery.scheduled_for, f"{delivery.key} by {ahead * 1000:.0f} ms")


def _not_expected(evidence: Evidence) -> Iterator[Defect]:
    for delivery in evidence.deliveries:
        if not _is_wanted(evidence, delivery):
            yield evidence.defect("unexpected", delivery.scheduled_for, f"{delivery.key}: no rule was due then")


def _is_wanted(evidence: Evidence, delivery: Delivery) -> bool:
    match evidence.kind_of(delivery.key):
        case "MANUAL":
            return evidence.is_manual(delivery.key)
        case "BACKFILL":
            return bool(evidence.backfills_of(delivery.scheduled_for))
    return is_allowed(evidence.story, delivery.scheduled_for)


def _after_change(evidence: Evidence) -> Iterator[Defect]:
    for action, start, end in silences(evidence.story):
        for delivery in evidence.deliveries:
            is_exempt = action == Action.PAUSED and _was_asked_for_since(evidence, delivery, start)
            if not is_exempt and start + CLOCK_TOLERANCE < delivery.fired_at < end:
                late = delivery.fired_at - start
                detail = f"{delivery.key} started {late * 1000:.0f} ms after it was {action}"
                yield evidence.defect("after-change", delivery.scheduled_for, detail)


def _was_asked_for_since(evidence: Evidence, delivery: Delivery, paused_at: float) -> bool:
    """Say whether a pause lets it pass: a run by hand, and what was backfilled or replayed in that pause."""
    replays = [it.sent_at for it in evidence.story.replays if it.id in {delivery.key, None}]
    backfills = [it.sent_at for it in evidence.backfills_of(delivery.scheduled_for)]
    asked_at = replays + (backfills if evidence.kind_of(delivery.key) == "BACKFILL" else [])
    return evidence.is_manual(delivery.key) or any(paused_at <= at <= delivery.fired_at for at in asked_at)


def _keys_that_differ(evidence: Evidence) -> Iterator[Defect]:
    keys: dict[tuple[str, float], set[str]] = defaultdict(set)
    for delivery in evidence.deliveries:
        keys[evidence.kind_of(delivery.key), delivery.scheduled_for].add(delivery.key)
    for row in evidence.ledger:
        keys[row.kind, row.scheduled_for].add(row.id)
    for (_, instant), different in keys.items():
        if len(different) > 1:
            yield evidence.defect("key-differs", instant, ", ".join(sorted(different)))


def _early_links(story: Story, rows: Iterable[Recorded], shortest: float) -> Iterator[tuple[Recorded, float]]:
    """Yield what did not wait for the end of the one before it, with the seconds that it waited.

    What was withdrawn is no link: an edit has planned the next without waiting for the end of that. Nor is one of the
    old plan that fired beside the new one's first while the edit was not answered yet: whoever held it may not have
    heard of the edit.
    """
    edits = [change for change in story.changes if change.action == Action.REPLANNED]
    before: Recorded | None = None
    for row in (row for row in rows if row.status != "CANCELLED"):
        gap = inf if before is None else row.scheduled_for - before.ended_at
        if before is not None and gap < shortest - EARLY_TOLERANCE:
            edit = next((it for it in edits if _is_unanswered(it, row) or _is_unanswered(it, before)), None)
            if edit is None:
                yield row, gap
            else:
                edits.remove(edit)  # which speaks for one
                if _is_unanswered(edit, row):
                    continue
        before = row


def _is_unanswered(edit: Change, row: Recorded) -> bool:
    """Say whether the row fired while the edit was under way."""
    return edit.sent_at <= row.ended_at and row.scheduled_for <= edit.answered_at


def _chain(evidence: Evidence) -> Iterator[Defect]:
    spans = phases(evidence.story)
    shortest = min(phase.rule.delay for phase in spans if isinstance(phase.rule, Chain))
    rows = sorted(evidence.planned, key=lambda row: row.scheduled_for)
    for row, gap in _early_links(evidence.story, rows, shortest):
        yield evidence.defect("early", row.scheduled_for, f"due {gap:.3f} s after the one before it ended")
    last = spans[-1]
    is_active = last.sure_until > evidence.horizon
    newest = max((row.ended_at for row in rows), default=last.sure_from)
    assert isinstance(last.rule, Chain)
    if is_active and max(newest, last.sure_from) < evidence.horizon - last.rule.delay - CHAIN_SLACK:
        yield evidence.defect("missing", None, f"the chain ended {evidence.horizon - newest:.1f} s before the horizon")
