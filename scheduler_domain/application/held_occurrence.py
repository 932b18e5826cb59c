"""A claimed occurrence in the hands of this dispatcher: encoded, leased, and waiting for its instant."""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from msgspec import Raw, Struct, field

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.schedule import FixedDelayTrigger, Retry, Trigger
from scheduler_domain.domain.target import Target


class DeliveryTerms(Struct, frozen=True, rename="camel", gc=False):
    """The part of a definition that delivering reads; the payload stays JSON text."""

    name: str
    trigger: Trigger
    target: Target
    key: str | None = None
    tz: str = "UTC"
    payload: Raw = Raw(b"null")
    retry: Retry = field(default_factory=Retry)
    timeout_sec: int = 15


class Stage(IntEnum):
    HELD = 0
    STARTED = 1
    DROPPED = 2


class HeldOccurrence(Struct, gc=False):
    """`fire_at` is in epoch seconds; `lease_ends` in monotonic seconds, after which no attempt may start.

    `message` is what the sender prepared (brokers) or the delivery itself (HTTP).
    """

    claimed: Claimed
    terms: DeliveryTerms
    message: Any
    lane: str
    fire_at: float
    lease_ends: float
    stage: Stage = Stage.HELD


def next_due_at(claimed: Claimed, terms: DeliveryTerms, ended_at: datetime) -> datetime | None:
    """Return when a schedule that runs from completion is due again; None for every other.

    What a person asked for is beside the chain: the end of a replay would begin a second one.
    """
    trigger = terms.trigger
    if (
        claimed.requested_at is not None
        or claimed.kind != "SCHEDULED"
        or not isinstance(trigger, FixedDelayTrigger)
        or trigger.anchor != "COMPLETION"
    ):
        return None
    return ended_at + timedelta(seconds=trigger.delay_sec)
