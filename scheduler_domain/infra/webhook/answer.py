"""What a receiver's answer means, and how much of it is kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from scheduler_domain.domain.outcome import Delivered, Outcome, Refused, Unreachable

LONGEST_EXCERPT = 1024
_GONE = 410
_LONGEST_WAIT_DIGITS = 9


def outcome_of(
    status: int, headers: Mapping[str, str], body: bytes | bytearray, success: Sequence[str], answered_at: datetime
) -> Outcome:
    """Judge an answer: success is what the target's `successStatus` names; 410 ends the schedule; all else may mend."""
    excerpt = excerpt_of(body)
    if is_success(status, success):
        return Delivered(status, excerpt)
    if status == _GONE:
        return Refused("the receiver answered 410 Gone", status, excerpt, disable=True)
    retry_after = retry_after_in(headers.get("Retry-After"), answered_at)
    return Unreachable(f"the receiver answered {status}", status, excerpt, retry_after)


def is_success(status: int, success: Sequence[str]) -> bool:
    """Say whether the status is named, alone or by its class.

    >>> is_success(204, ["2xx"]), is_success(404, ["2xx", "404"]), is_success(302, ["2xx"])
    (True, True, False)
    """
    return f"{status // 100}xx" in success or str(status) in success


def retry_after_in(value: str | None, answered_at: datetime) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, section 10.2.3): seconds or a date; nonsense is as good as nothing.

    >>> retry_after_in("120", datetime(2026, 11, 22, tzinfo=UTC))
    datetime.timedelta(seconds=120)
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= _LONGEST_WAIT_DIGITS else None
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max((until if until.tzinfo else until.replace(tzinfo=UTC)) - answered_at, timedelta(0))


def excerpt_of(body: bytes | bytearray) -> str | None:
    """Return the beginning as text that is safe to store and show: control characters escaped, 1 KiB at most."""
    if not body:
        return None
    text = body[:LONGEST_EXCERPT].decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
        )
    return text.encode()[:LONGEST_EXCERPT].decode("utf-8", "ignore")
