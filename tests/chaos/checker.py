"""The judge of a run: what was missing, early, forbidden, doubled, or under a wrong key.

Knows nothing of the product's code. What should have happened comes from the requests and their answers
(expectation.py), what did happen from the targets and the ledger; the ledger's word alone is never believed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from tests.chaos.completion_checks import completion_defects, repeated
from tests.chaos.evidence import Defect, evidence_of
from tests.chaos.expectation import expected
from tests.chaos.firing_checks import firing_defects
from tests.chaos.history import Delivery, History, Recorded
from tests.chaos.overlap_checks import overlap_defects
from tests.chaos.recovery_checks import recovery_defects
from tests.chaos.template_checks import template_defects

MOST_DUPLICATES = 0.02
_CHECKS = (firing_defects, recovery_defects, completion_defects, overlap_defects)


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
    defects: list[Defect] = [*_keys_shared(history.deliveries), *_of_nobody(history), *template_defects(history)]
    for evidence in evidence_of(history):
        for defects_of in _CHECKS:
            defects += defects_of(evidence)
    return Findings(defects, _counts(history), _outcomes(history.ledger), _lateness(history))


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


def _counts(history: History) -> dict[str, int]:
    accepted = {delivery.key for delivery in history.deliveries if delivery.accepted}
    return {
        "schedules": len(history.stories),
        "of them instances of templates": sum(story.instance is not None for story in history.stories),
        "changes": sum(len(story.changes) - 1 for story in history.stories),
        "expected": sum(len(expected(story, history.horizon)) for story in history.stories),
        "run by hand": sum(len(story.manual) for story in history.stories),
        "backfilled": sum(row.kind == "BACKFILL" for row in history.ledger),
        "replayed": sum(replay.id is not None for story in history.stories for replay in story.replays),
        "recorded": len(history.ledger),
        "attempts": len(history.deliveries),
        "delivered": len(accepted),
        "called back": len(history.callbacks),
        "duplicates": sum(repeated(evidence) for evidence in evidence_of(history)),
        "cancelled though delivered": sum(row.status == "CANCELLED" and row.id in accepted for row in history.ledger),
    }


def _outcomes(ledger: Iterable[Recorded]) -> dict[str, int]:
    return dict(Counter(row.status if row.reason is None else f"{row.status} ({row.reason})" for row in ledger))


def _lateness(history: History) -> list[float]:
    """Return how late each planned occurrence was accepted for the first time; what was replayed is left out."""
    first: dict[str, float] = {}
    replayed = {replay.id for story in history.stories for replay in story.replays}
    planned = {row.id for row in history.ledger if row.kind == "SCHEDULED"} - replayed
    for delivery in history.deliveries:
        if delivery.accepted and delivery.key in planned:
            late = delivery.arrived_at - delivery.scheduled_for
            first[delivery.key] = min(late, first.get(delivery.key, late))
    return sorted(first.values())
