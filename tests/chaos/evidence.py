"""All that is known of one schedule: what was asked of it beside what came of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from math import inf
from typing import TypeVar

from msgspec import Struct

from tests.chaos.history import Absence, Backfill, Callback, Delivery, History, Queued, Recorded, Story

Row = TypeVar("Row", Delivery, Recorded, Queued, Callback)


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
    callbacks: list[Callback] = []
    absences: list[Absence] = []

    @cached_property
    def planned(self) -> list[Recorded]:
        """What the ledger says of the schedule's own plan."""
        return [row for row in self.ledger if row.kind == "SCHEDULED"]

    @cached_property
    def rows(self) -> list[Recorded | Queued]:
        """Everything that the ledger or the queue knows of."""
        return [*self.ledger, *self.queued]

    @cached_property
    def accepted(self) -> set[str]:
        """The keys that a target said yes to."""
        return {delivery.key for delivery in self.deliveries if delivery.accepted}

    @cached_property
    def known(self) -> set[str]:
        """The keys that the ledger or the queue has a row of."""
        return {row.id for row in self.rows}

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """Of what kind each key is, as ledger and queue say it."""
        return {row.id: row.kind for row in self.rows}

    def kind_of(self, key: str) -> str:
        return "MANUAL" if self.is_manual(key) else self.kinds.get(key, "SCHEDULED")

    def is_manual(self, key: str) -> bool:
        return key in self.story.manual

    def replayed_at(self, key: str) -> float:
        """Return when the last request to replay it was sent; before all time where there was none."""
        return max((replay.sent_at for replay in self.story.replays if replay.id == key), default=-inf)

    def backfills_of(self, instant: float) -> list[Backfill]:
        return [it for it in self.story.backfills if it.start <= instant < it.end and instant in it.instants]

    def defect(self, kind: str, scheduled_for: float | None, detail: str) -> Defect:
        return Defect(kind, self.story.schedule_id, scheduled_for, detail)


def evidence_of(history: History) -> list[Evidence]:
    deliveries = _by_schedule(history.deliveries)
    ledger = _by_schedule(history.ledger)
    queued = _by_schedule(history.queued)
    callbacks = _by_schedule(history.callbacks)
    return [
        Evidence(
            story,
            deliveries.get(story.schedule_id, []),
            ledger.get(story.schedule_id, []),
            queued.get(story.schedule_id, []),
            history.horizon,
            callbacks.get(story.schedule_id, []),
            history.absences,
        )
        for story in history.stories
    ]


def _by_schedule(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    sorted_: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sorted_[row.schedule_id].append(row)
    return sorted_
