"""Completion by callback: a receiver answers 202 now, and says later how its work ended.

The right to say so is a token that travels with each attempt: an HMAC-SHA256 (RFC 2104) of what it is for, under a key
that the installation drew for itself. So nothing is stored for it, whoever holds the key can tell a token from a
forgery, and it opens one occurrence alone. It names its attempt: a failure counts for the attempt that it is about, so
one that is told twice, or too late, does not fail the next attempt as well. Success is of the occurrence, whichever
attempt brought it: a receiver that recognised a repetition by its key and dropped it may still call back for the first.

Tenant and schedule stand in the token in plain text, as they do in the delivery's `ce-source`: they say where to look.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from datetime import datetime
from enum import Enum, auto
from hashlib import sha256
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.occurrence import Attempt, Occurrence, Status
from scheduler_domain.domain.outcome import Delivered, Unreachable

ACCEPTED = 202
LONGEST_MESSAGE = 1_000
_TOKEN = re.compile(r"([a-z0-9][a-z0-9_-]{0,62})\.([0-9a-f]{32})\.([1-9][0-9]{0,4})\.([A-Za-z0-9_-]{43})")


class CallbackRight(Struct, frozen=True):
    """Whose occurrence a token may complete, and which attempt brought it, counted from 1."""

    tenant_id: str
    schedule_id: UUID
    occurrence_id: UUID
    attempt: int


class Callback(Struct, frozen=True):
    """What a receiver said of its work, and when; the message is for people."""

    succeeded: bool
    message: str | None
    called_at: datetime


class Expectation(Struct, frozen=True):
    """What an unfinished occurrence expects: a callback `is_awaited` or may come any moment; `said` is what came.

    `is_accepted` where the receiver's 202 is known; before that its attempt is under way. `attempt` is its number, or
    that of the next one.
    """

    is_awaited: bool
    is_accepted: bool
    said: bool | None
    attempt: int


class Reply(Enum):
    """How a callback is taken: noted, known already, against what was said before, or expected by nobody."""

    NOTED = auto()
    KNOWN = auto()
    CONTRADICTED = auto()
    NOT_AWAITED = auto()


def callback_token(key: bytes, right: CallbackRight) -> str:
    """Return the token for an attempt at an occurrence: `<tenant>.<schedule>.<attempt>.<mac>`.

    >>> right = CallbackRight("acme", UUID(int=1), UUID(int=2), attempt=1)
    >>> right_of(bytes(32), callback_token(bytes(32), right), UUID(int=2)) == right
    True
    """
    what = f"callback|{right.tenant_id}|{right.schedule_id}|{right.occurrence_id}|{right.attempt}"
    mac = urlsafe_b64encode(hmac.digest(key, what.encode(), sha256)).rstrip(b"=").decode()
    return f"{right.tenant_id}.{right.schedule_id.hex}.{right.attempt}.{mac}"


def right_of(key: bytes, token: str, occurrence_id: UUID) -> CallbackRight | None:
    """Return what the token allows for the occurrence, or None; takes as long wherever a forged one is wrong."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    right = CallbackRight(match[1], UUID(hex=match[2]), occurrence_id, int(match[3]))
    return right if hmac.compare_digest(token.encode(), callback_token(key, right).encode()) else None


def callback_path(occurrence_id: UUID) -> str:
    """Return where to call back, on the API."""
    return f"/occurrences/{occurrence_id}/complete"


def outcome_of(callback: Callback) -> Delivered | Unreachable:
    """Return the outcome of the attempt that the callback is about; a failure is tried again by policy."""
    if callback.succeeded:
        return Delivered(ACCEPTED, callback.message)
    return Unreachable(callback.message or "the receiver called back that it failed", ACCEPTED)


def no_callback(seconds: float) -> Unreachable:
    """Return the outcome of an attempt whose callback did not come. No status decided it, so it carries none."""
    return Unreachable(f"no callback within {seconds:g} s")


def reply_while_unfinished(expectation: Expectation, succeeded: bool, attempt: int) -> Reply | None:
    """Return how a callback for an unfinished occurrence is taken; None where only its history can tell."""
    if not succeeded and attempt != expectation.attempt:
        return None
    if expectation.said is not None:
        return Reply.KNOWN if expectation.said == succeeded else Reply.CONTRADICTED
    return Reply.NOTED if expectation.is_awaited else None


def reply_by_history(occurrence: Occurrence, succeeded: bool, attempt: int) -> Reply:
    """Return how a callback is taken that nobody waits for: saying again what is known already does no harm."""
    if succeeded and occurrence.status == Status.COMPLETED:
        return Reply.KNOWN
    its = next((tried for tried in occurrence.attempts if tried.number == attempt), None)
    if its is None:
        return Reply.NOT_AWAITED
    if its.outcome == "DELIVERED":
        return Reply.CONTRADICTED
    if not _was_called_failed(its):
        return Reply.NOT_AWAITED
    return Reply.CONTRADICTED if succeeded else Reply.KNOWN


def _was_called_failed(attempt: Attempt) -> bool:
    """A receiver's 202 never fails an attempt by itself: one that failed with it was called back as failed."""
    return attempt.outcome == "FAILED" and attempt.status_code == ACCEPTED
