"""A claimed occurrence in the hands of this dispatcher: encoded, leased, and waiting for its instant."""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from msgspec import Raw, Struct, field

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.schedule import FixedDelayTrigger, Retry, Trigger
from scheduler_domain.domain.target import Target, TargetKind


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

    `message` is what the sender prepared (brokers) or the delivery itself (HTTP). `chain_delay_sec` is None unless the
    end of this occurrence decides when the next is due. Lean, because a hundred thousand may wait for one instant: of
    the definition only what the outcome needs is kept.
    """

    claimed: Claimed
    message: Any
    lane: str
    target_kind: TargetKind
    retry: Retry
    chain_delay_sec: int | None
    fire_at: float
    lease_ends: float
    stage: Stage = Stage.HELD

    @property
    def is_simple(self) -> bool:
        """True of a first attempt whose success ends the occurrence and moves nothing else."""
        claimed = self.claimed
        return not (claimed.attempt_count or claimed.was_tried or claimed.is_last) and self.chain_delay_sec is None


def chain_delay_sec(claimed: Claimed, terms: DeliveryTerms) -> int | None:
    """Return the delay of a schedule that runs from completion, where this occurrence is of its plan; else None.

    What a person asked for is beside the chain: the end of a replay would begin a second one.
    """
    trigger = terms.trigger
    if type(trigger) is not FixedDelayTrigger or trigger.anchor != "COMPLETION":
        return None
    if claimed.requested_at is not None or claimed.kind != "SCHEDULED":
        return None
    return trigger.delay_sec


def next_due_at(ended_at: datetime, delay_sec: int | None) -> datetime | None:
    """Return when a schedule that runs from completion is due again; None for every other."""
    return None if delay_sec is None else ended_at + timedelta(seconds=delay_sec)
