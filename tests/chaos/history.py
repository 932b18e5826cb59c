"""What happened in a run, as plain values: requests and their answers, deliveries, the ledger.

All instants are seconds of the Unix epoch by the clock of the one host that everything runs on.
"""

from collections.abc import Iterator
from enum import StrEnum
from math import inf

from msgspec import Struct


class Every(Struct, frozen=True, tag=True):
    """Due at `first` and every `step` seconds after it."""

    first: int
    step: int

    def due_between(self, start: float, end: float) -> Iterator[int]:
        """Yield the instants with start <= instant < end."""
        instant = self.first + max(-((self.first - start) // self.step), 0) * self.step
        while instant < end:
            yield int(instant)
            instant += self.step


class Once(Struct, frozen=True, tag=True):
    """Due at `at`; `surely` is false where what was due before an edit may have taken its place."""

    at: int
    surely: bool = True

    def due_between(self, start: float, end: float) -> Iterator[int]:
        if start <= self.at < end:
            yield self.at


class Chain(Struct, frozen=True, tag=True):
    """Due `delay` seconds after the occurrence before it ended: nobody can say in advance when."""

    delay: int


Rule = Every | Once | Chain


class Action(StrEnum):
    CREATED = "CREATED"
    REPLANNED = "REPLANNED"
    RENAMED = "RENAMED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    DELETED = "DELETED"


class Change(Struct, frozen=True):
    """An acknowledged change: it took effect after the first request was sent and before the 2xx arrived."""

    action: Action
    sent_at: float
    answered_at: float
    rule: Rule | None = None


class Backfill(Struct, frozen=True):
    """An answered request to make up for what `rule`, in force all the while, names in [start, end).

    Of these instants so many were made now, were present already, and were left to the planner.
    """

    rule: Rule
    start: int
    end: int
    sent_at: float
    answered_at: float
    created: int
    present: int
    unplanned: int

    @property
    def instants(self) -> list[int]:
        assert not isinstance(self.rule, Chain)
        return list(self.rule.due_between(self.start, self.end))


class Replay(Struct, frozen=True):
    """An answered request to try a dead letter again; `id` is None for all of the schedule that were dead by then."""

    id: str | None
    sent_at: float
    answered_at: float


class Story(Struct):
    """One schedule from its creation on; `manual` are the occurrences that an answered request asked for.

    `instance` names the template and the key that it was made from, if it was. An occurrence is given up after
    `most_attempts`.
    """

    tenant_id: str
    schedule_id: str
    target: str
    rule: Rule
    changes: list[Change]
    manual: set[str]
    instance: tuple[str, str] | None = None
    backfills: list[Backfill] = []
    replays: list[Replay] = []
    most_attempts: int = 100
    awaits_callback: bool = False
    overlap: str = "ALLOW_ALL"

    @property
    def is_paused(self) -> bool:
        states = [change.action for change in self.changes if change.action in {Action.PAUSED, Action.RESUMED}]
        return bool(states) and states[-1] == Action.PAUSED

    @property
    def is_deleted(self) -> bool:
        return self.changes[-1].action == Action.DELETED


class Delivery(Struct, frozen=True):
    """An attempt as its target saw it. `accepted`: the target said yes, or the stream stored it."""

    key: str
    schedule_id: str
    scheduled_for: float
    fired_at: float
    arrived_at: float
    target: str
    accepted: bool = True
    answered_at: float | None = None


class Callback(Struct, frozen=True):
    """What a receiver called back of an occurrence; it took effect, if it `was_taken`, between request and answer."""

    key: str
    schedule_id: str
    succeeded: bool
    sent_at: float
    answered_at: float
    was_taken: bool


class Recorded(Struct, frozen=True):
    """A row of the ledger."""

    id: str
    schedule_id: str
    kind: str
    scheduled_for: float
    status: str
    reason: str | None
    ended_at: float
    attempts: int = 1


class Queued(Struct, frozen=True):
    """A row that was still in the due queue when everything had had its time to drain."""

    id: str
    schedule_id: str
    kind: str
    scheduled_for: float


class Instance(Struct, frozen=True):
    """An instance of a template as it is stored when a run is over."""

    tenant_id: str
    template: str
    key: str
    schedule_id: str


class Absence(Struct, frozen=True):
    """A time without a heartbeat of any dispatcher, as the product tells it."""

    began: float
    ended: float


class History(Struct, frozen=True):
    """A whole run. What was due at `horizon` or before had its time to drain before the rest was read."""

    stories: list[Story]
    deliveries: list[Delivery]
    ledger: list[Recorded]
    queued: list[Queued]
    horizon: float
    instances: list[Instance] = []
    callbacks: list[Callback] = []
    absences: list[Absence] = []


FOREVER = inf
