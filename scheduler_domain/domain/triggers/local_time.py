"""Plain arithmetic between local times as text or datetimes and whole seconds on the wall (see `slots`)."""

import re
from datetime import UTC, date, datetime, timedelta

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.years import LAST_DAY, LAST_YEAR, YEAR_START

DAY = 86_400
FIRST_SECOND = DAY * (YEAR_START[1] + 2)
"""Early enough for any rule, late enough to be a datetime in every zone."""
LAST_SECOND = DAY * (LAST_DAY + 1) - 1
"""The last second of the engine's calendar, on the wall."""

_WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time belongs to no zone until a policy has placed it
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:T(?P<clock>\d{2}:\d{2}(?::\d{2})?)(?:\.(?P<fraction>\d{1,6}))?(?P<offset>Z|[+-]\d{2}:\d{2})?)?",
    re.ASCII,
)


def wall_datetime(second: int, microsecond: int = 0) -> datetime:
    """Return the naive datetime of a second on the wall."""
    return _WALL_EPOCH + timedelta(0, second, microsecond)


def wall_second(local: datetime) -> int:
    """Return the second on the wall of a naive datetime; fractions are cut off."""
    return (local - _WALL_EPOCH) // _SECOND


def utc_datetime(second: int, microsecond: int = 0) -> datetime:
    """Return the aware UTC datetime of a UTC second."""
    at = datetime.fromtimestamp(second, UTC)
    return at.replace(microsecond=microsecond) if microsecond else at


def utc_microsecond(instant: datetime) -> int:
    """Return the microseconds from the epoch to an aware instant."""
    since = instant - _UTC_EPOCH
    return (since.days * DAY + since.seconds) * 1_000_000 + since.microseconds


def parse_iso(text: str, field: str) -> tuple[datetime, bool]:
    """Return (datetime, aware?) of `YYYY-MM-DD[Thh:mm[:ss[.ffffff]]][Z|±hh:mm]`; TriggerError `bad-time` otherwise."""
    match = _ISO.fullmatch(text) if len(text) <= 40 else None
    if match is None:
        raise bad_time(field)
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_time(field) from None
    if parsed.year > LAST_YEAR:
        raise TriggerError(
            "out-of-calendar", f"{field} lies after the year {LAST_YEAR}, the last one planned for.", field
        )
    return parsed, parsed.tzinfo is not None


def bad_time(field: str) -> TriggerError:
    """Return the refusal of a text that is no time."""
    return TriggerError(
        "bad-time",
        f"{field} is not a time; use 2026-01-31T09:00:00, or with Z or an offset where an instant is meant.",
        field,
    )


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to a calendar date."""
    return day.toordinal() - 719_163
