"""All that is known of one schedule: what was asked of it beside what came of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TypeVar

from msgspec import Struct

from tests.chaos.history import Delivery, History, Queued, Recorded, Story

Row = TypeVar("Row", Delivery, Recorded, Queued)


class Defect(Struct, frozen=True):
    kind: str
    schedule_id: str
    scheduled_for: float | None
    detail: str


class Evidence(Struct, frozen=True, dict=True):
    story: Story
    deliveries: list[Delivery]
    ledger: list[Recorded]
    queued: list[Queued]
    horizon: float

    @cached_property
    def planned(self) -> list[Recorded]:
        """What the ledger says of the schedule's own plan."""
        return [row for row in self.ledger if row.kind == "SCHEDULED"]

    @cached_property
    def accepted(self) -> set[str]:
        """The keys that a target said yes to."""
        return {delivery.key for delivery in self.deliveries if delivery.accepted}

    @cached_property
    def known(self) -> set[str]:
        """The keys that the ledger or the queue has a row of."""
        return {row.id for row in self.ledger} | {row.id for row in self.queued}

    def is_manual(self, key: str) -> bool:
        return key in self.story.manual

    def defect(self, kind: str, scheduled_for: float | None, detail: str) -> Defect:
        return Defect(kind, self.story.schedule_id, scheduled_for, detail)


def evidence_of(history: History) -> list[Evidence]:
    deliveries = _by_schedule(history.deliveries)
    ledger = _by_schedule(history.ledger)
    queued = _by_schedule(history.queued)
    return [
        Evidence(
            story,
            deliveries.get(story.schedule_id, []),
            ledger.get(story.schedule_id, []),
            queued.get(story.schedule_id, []),
            history.horizon,
        )
        for story in history.stories
    ]


def _by_schedule(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    sorted_: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sorted_[row.schedule_id].append(row)
    return sorted_
