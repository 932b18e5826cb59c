"""The judge of a run: what was missing, early, forbidden, doubled, or under a wrong key.

Knows nothing of the product's code. What should have happened comes from the requests and their answers
(expectation.py), what did happen from the targets and the ledger; the ledger's word alone is never believed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from msgspec import Struct

from tests.chaos.expectation import expected, is_allowed, may_be_withdrawn, phases, silences
from tests.chaos.history import Action, Chain, Delivery, History, Queued, Recorded, Story

EARLY_TOLERANCE = 0.050
"""Of the promise itself: never more than 50 ms before the instant."""
CLOCK_TOLERANCE = 0.020
"""How far a dispatcher's idea of the database's clock, and its milliseconds, may be off when an attempt is stamped."""
CHAIN_SLACK = 5.0
MOST_DUPLICATES = 0.02

Row = TypeVar("Row", Delivery, Recorded, Queued)


class Defect(Struct, frozen=True):
    kind: str
    schedule_id: str
    scheduled_for: float | None
    detail: str


class Findings(Struct, frozen=True):
    """`counts` of what was looked at, `outcomes` by status and reason, `lateness` in seconds, ascending."""

    defects: list[Defect]
    counts: dict[str, int]
    outcomes: dict[str, int]
    lateness: list[float]

    @property
    def duplicates(self) -> float:
        """The share of deliveries that were accepted again under a key that had been accepted already."""
        return self.counts["duplicates"] / max(self.counts["delivered"], 1)

    @property
    def passed(self) -> bool:
        return not self.defects and self.duplicates <= MOST_DUPLICATES


def check(history: History) -> Findings:
    deliveries = _by_schedule(history.deliveries)
    ledger = _by_schedule(history.ledger)
    queued = _by_schedule(history.queued)
    defects: list[Defect] = [*_keys_shared(history.deliveries), *_of_nobody(history)]
    for story in history.stories:
        id_ = story.schedule_id
        told = _Told(story, deliveries.get(id_, []), ledger.get(id_, []), queued.get(id_, []), history.horizon)
        defects += told.defects()
    return Findings(defects, _counts(history), _outcomes(history.ledger), _lateness(history))


class _Told:
    """One schedule: what was asked of it beside what came of it."""

    def __init__(
        self,
        story: Story,
        deliveries: Sequence[Delivery],
        ledger: Sequence[Recorded],
        queued: Sequence[Queued],
        horizon: float,
    ) -> None:
        self._story = story
        self._deliveries = deliveries
        self._ledger = ledger
        self._queued = queued
        self._horizon = horizon
        self._planned = [row for row in ledger if row.kind == "SCHEDULED"]
        self._accepted = {delivery.key for delivery in deliveries if delivery.accepted}

    def defects(self) -> Iterator[Defect]:
        yield from self._missing()
        yield from self._manual_missing()
        yield from self._ended_without_delivery()
        yield from self._unrecorded()
        yield from self._early()
        yield from self._not_expected()
        yield from self._after_change()
        yield from self._keys_that_differ()
        yield from self._chain()

    def _missing(self) -> Iterator[Defect]:
        rows = Counter(row.scheduled_for for row in self._planned)
        for row in self._queued:
            if row.scheduled_for <= self._horizon:
                yield self._defect("stuck", row.scheduled_for, f"{row.id} is in the queue and nobody delivers it")
        waiting = {row.scheduled_for for row in self._queued}
        for instant in sorted(expected(self._story, self._horizon) - rows.keys() - waiting):
            yield self._defect("missing", instant, "neither in the ledger nor in the queue")
        for at, count in rows.items():
            if count > 1:
                yield self._defect("recorded-twice", at, f"{count} rows in the ledger")

    def _manual_missing(self) -> Iterator[Defect]:
        found = {row.id for row in self._ledger} | {row.id for row in self._queued}
        for id_ in sorted(self._story.manual - found):
            yield self._defect("missing", None, f"{id_} was asked for and accepted")

    def _ended_without_delivery(self) -> Iterator[Defect]:
        for row in self._ledger:
            match row.status:
                case "COMPLETED" if row.id not in self._accepted:
                    yield self._defect("lost", row.scheduled_for, f"{row.id} is COMPLETED and never arrived")
                case "FAILED":
                    yield self._defect("failed", row.scheduled_for, f"{row.id}: {row.reason}")
                case "CANCELLED" if not may_be_withdrawn(self._story, row.scheduled_for, row.reason):
                    yield self._defect("unexplained", row.scheduled_for, f"CANCELLED ({row.reason}), no change says so")
                case "SKIPPED" if not (row.reason or "").startswith("misfire-") or row.id in self._accepted:
                    yield self._defect("unexplained", row.scheduled_for, f"SKIPPED ({row.reason})")

    def _unrecorded(self) -> Iterator[Defect]:
        known = {row.id for row in self._ledger} | {row.id for row in self._queued}
        for delivery in self._deliveries:
            if delivery.accepted and delivery.scheduled_for <= self._horizon and delivery.key not in known:
                yield self._defect("unrecorded", delivery.scheduled_for, f"{delivery.key} arrived and has no row")

    def _early(self) -> Iterator[Defect]:
        for delivery in self._deliveries:
            ahead = delivery.scheduled_for - min(delivery.arrived_at, delivery.fired_at)
            if ahead > EARLY_TOLERANCE:
                yield self._defect("early", delivery.scheduled_for, f"{delivery.key} by {ahead * 1000:.0f} ms")

    def _not_expected(self) -> Iterator[Defect]:
        for delivery in self._deliveries:
            if not self._is_manual(delivery.key) and not is_allowed(self._story, delivery.scheduled_for):
                yield self._defect("unexpected", delivery.scheduled_for, f"{delivery.key}: no rule was due then")

    def _after_change(self) -> Iterator[Defect]:
        for action, start, end in silences(self._story):
            for delivery in self._deliveries:
                is_exempt = action == Action.PAUSED and self._is_manual(delivery.key)
                if not is_exempt and start + CLOCK_TOLERANCE < delivery.fired_at < end:
                    late = delivery.fired_at - start
                    yield self._defect(
                        "after-change",
                        delivery.scheduled_for,
                        f"{delivery.key} started {late * 1000:.0f} ms after it was {action}",
                    )

    def _keys_that_differ(self) -> Iterator[Defect]:
        keys: dict[float, set[str]] = defaultdict(set)
        for delivery in self._deliveries:
            keys[delivery.scheduled_for].add(delivery.key)
        for row in self._ledger:
            keys[row.scheduled_for].add(row.id)
        for instant, different in keys.items():
            if len(different) > 1:
                yield self._defect("key-differs", instant, ", ".join(sorted(different)))

    def _chain(self) -> Iterator[Defect]:
        if not isinstance(self._story.rule, Chain):
            return
        spans = phases(self._story)
        shortest = min(phase.rule.delay for phase in spans if isinstance(phase.rule, Chain))
        rows = sorted(self._planned, key=lambda row: row.scheduled_for)
        # What was withdrawn is no link of it: an edit has planned the next without waiting for the end of that.
        for before, after in pairwise(row for row in rows if row.status != "CANCELLED"):
            gap = after.scheduled_for - before.ended_at
            if gap < shortest - EARLY_TOLERANCE:
                yield self._defect("early", after.scheduled_for, f"due {gap:.3f} s after the one before it ended")
        last = spans[-1]
        is_active = last.sure_until > self._horizon
        newest = max((row.ended_at for row in rows), default=last.sure_from)
        assert isinstance(last.rule, Chain)
        if is_active and max(newest, last.sure_from) < self._horizon - last.rule.delay - CHAIN_SLACK:
            yield self._defect("missing", None, f"the chain ended {self._horizon - newest:.1f} s before the horizon")

    def _is_manual(self, key: str) -> bool:
        return key in self._story.manual or any(row.id == key and row.kind == "MANUAL" for row in self._ledger)

    def _defect(self, kind: str, scheduled_for: float | None, detail: str) -> Defect:
        return Defect(kind, self._story.schedule_id, scheduled_for, detail)


def _keys_shared(deliveries: Iterable[Delivery]) -> Iterator[Defect]:
    occurrences: dict[str, set[tuple[str, float]]] = defaultdict(set)
    for delivery in deliveries:
        occurrences[delivery.key].add((delivery.schedule_id, delivery.scheduled_for))
    for key, different in occurrences.items():
        if len(different) > 1:
            schedule_id, instant = min(different)
            yield Defect("key-shared", schedule_id, instant, f"{key} stands for {len(different)} occurrences")


def _of_nobody(history: History) -> Iterator[Defect]:
    known = {story.schedule_id for story in history.stories}
    seen = {each.schedule_id for each in history.deliveries} | {row.schedule_id for row in history.ledger}
    for schedule_id in sorted(seen - known):
        yield Defect("unexpected", schedule_id, None, "a schedule that no answer spoke of")


def _by_schedule(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    sorted_: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sorted_[row.schedule_id].append(row)
    return sorted_


def _counts(history: History) -> dict[str, int]:
    accepted = Counter(delivery.key for delivery in history.deliveries if delivery.accepted)
    return {
        "schedules": len(history.stories),
        "changes": sum(len(story.changes) - 1 for story in history.stories),
        "expected": sum(len(expected(story, history.horizon)) for story in history.stories),
        "recorded": len(history.ledger),
        "attempts": len(history.deliveries),
        "delivered": len(accepted),
        "duplicates": sum(accepted.values()) - len(accepted),
        "cancelled though delivered": sum(row.status == "CANCELLED" and row.id in accepted for row in history.ledger),
    }


def _outcomes(ledger: Iterable[Recorded]) -> dict[str, int]:
    return dict(Counter(row.status if row.reason is None else f"{row.status} ({row.reason})" for row in ledger))


def _lateness(history: History) -> list[float]:
    """Return how late each planned occurrence was accepted for the first time."""
    first: dict[str, float] = {}
    planned = {row.id for row in history.ledger if row.kind == "SCHEDULED"}
    for delivery in history.deliveries:
        if delivery.accepted and delivery.key in planned:
            late = delivery.arrived_at - delivery.scheduled_for
            first[delivery.key] = min(late, first.get(delivery.key, late))
    return sorted(first.values())
