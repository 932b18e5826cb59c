"""A claimed occurrence in the hands of this dispatcher: encoded, leased, and waiting for its instant."""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from msgspec import Raw, Struct, field

from scheduler_domain.application.ports.due_queue import Claimed, Ended
from scheduler_domain.domain.schedule import Completion, FixedDelayTrigger, Misfire, Overlap, Retry, Trigger
from scheduler_domain.domain.target import Target, TargetKind, target_kind
from scheduler_domain.domain.withdrawal import Ending


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
    overlap: Overlap = "ALLOW_ALL"
    completion: Completion = "ACK"
    misfire: Misfire = field(default_factory=Misfire)


class Gate(Struct, frozen=True, gc=False):
    """What one that asks before it starts is judged by (application/admit_occurrences.py).

    `withdrawn_for` is why it is not to be attempted any more, where all the same an attempt at it may be waiting for
    its callback.
    """

    overlap: Overlap
    timeout_sec: int
    withdrawn_for: str | None


class Stage(IntEnum):
    HELD = 0
    STARTED = 1
    DROPPED = 2


class HeldOccurrence(Struct, gc=False):
    """`fire_at` is in epoch seconds; `lease_ends` in monotonic seconds, after which no attempt may start.
    `turn_came_at`, in epoch seconds, is when an overlap policy let it start, from which its lateness then counts.

    `message` is what the sender prepared (brokers) or the delivery itself (HTTP). `chain_delay_sec` is None unless the
    end of this occurrence decides when the next is due, `gate` unless something else than its instant decides whether
    it starts. Lean, because a hundred thousand may wait for one instant: of
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
    gate: Gate | None = None
    turn_came_at: float | None = None

    @property
    def late_from(self) -> float:
        """The instant, in epoch seconds, after which a first attempt is late: waiting for its turn was asked for."""
        return self.claimed.due_at if self.turn_came_at is None else self.turn_came_at

    @property
    def is_simple(self) -> bool:
        """True of a first attempt whose success ends the occurrence and moves nothing else."""
        if self.chain_delay_sec is not None or self.gate is not None:
            return False
        claimed = self.claimed
        return not (claimed.attempt_count or claimed.was_tried or claimed.is_last)

    @property
    def frees_line(self) -> bool:
        """True where others of its schedule may wait for its end."""
        return self.gate is not None and self.gate.overlap != "ALLOW_ALL"


def gate_of(claimed: Claimed, terms: DeliveryTerms, withdrawn_for: str | None) -> Gate | None:
    """Return what decides whether it starts, where its instant alone does not; of most schedules None."""
    if terms.overlap == "ALLOW_ALL" and not may_await_callback(claimed, terms):
        return None
    return Gate(terms.overlap, terms.timeout_sec, withdrawn_for)


def may_await_callback(claimed: Claimed, terms: DeliveryTerms) -> bool:
    """Tell whether an attempt at it may be waiting for its callback, by the terms of now or those it started with."""
    if claimed.is_accepted:
        return True
    return claimed.was_tried and (terms.completion == "CALLBACK" or claimed.revision != claimed.schedule_revision)


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


def ended_unattempted(
    claimed: Claimed, terms: DeliveryTerms, status: str, reason: str, at: datetime, error: str | None = None
) -> Ended:
    """Return the end of what was claimed and is not attempted; whatever its end decides, this one does.

    Only an edit that withdraws has planned its own next; after a pause that was lifted meanwhile, nobody else has.
    """
    chain = None if reason == Ending.REPLANNED else chain_delay_sec(claimed, terms)
    kind, frees_line = target_kind(terms.target), terms.overlap != "ALLOW_ALL"
    return _unattempted(claimed, status, reason, at, error, kind, chain, frees_line)


def held_ended_unattempted(
    held: HeldOccurrence, status: str, reason: str | None, at: datetime, error: str | None = None
) -> Ended:
    """Return the same of what is on our hands already, where no edit has withdrawn it."""
    chain, frees_line = held.chain_delay_sec, held.frees_line
    return _unattempted(held.claimed, status, reason, at, error, held.target_kind, chain, frees_line)


def _unattempted(
    claimed: Claimed,
    status: str,
    reason: str | None,
    at: datetime,
    error: str | None,
    kind: TargetKind,
    chain_delay: int | None,
    frees_line: bool,
) -> Ended:
    return Ended(
        claimed,
        status,
        reason,
        claimed.attempt_count,
        None,
        at,
        None,
        kind,
        error=error,
        next_due_at=next_due_at(at, chain_delay),
        frees_line=frees_line,
    )
