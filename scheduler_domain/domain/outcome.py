"""How one attempt ended. A value, never an exception: a sender that raises has a defect."""

from datetime import timedelta

from msgspec import Struct


class Delivered(Struct, frozen=True, gc=False):
    """The target has it: a PubAck, or a status that counts as success."""

    status_code: int | None = None
    response_excerpt: str | None = None
    duplicate: bool = False


class Accepted(Struct, frozen=True, gc=False):
    """The receiver has it and calls back within this time how it ended (domain/callback.py): the attempt goes on."""

    status_code: int
    callback_within: timedelta


class Refused(Struct, frozen=True, gc=False):
    """The target or our own policy said no for good: no further attempt. `disable` ends the schedule too (410)."""

    error: str
    status_code: int | None = None
    response_excerpt: str | None = None
    disable: bool = False


class Unreachable(Struct, frozen=True, gc=False):
    """The target did not take it this time; another attempt may.

    `retry_after` is what the target asked for. `counts` is False where it is certain that nothing was stored and the
    receiver is not to blame (a broker that is away, a stream that is full), so that waiting burns no attempt.
    """

    error: str
    status_code: int | None = None
    response_excerpt: str | None = None
    retry_after: timedelta | None = None
    counts: bool = True


ACKNOWLEDGED = Delivered()
"""What a broker's plain acknowledgement means; one value for all, so that a batch of them is told by identity."""

Outcome = Delivered | Accepted | Refused | Unreachable
