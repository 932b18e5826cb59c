"""Where an edited instance of a template goes on: a local date on which it fired is not begun anew.

An occurrence is a local time, and none fires twice (domain/repeats.py). For a person that is not enough: a birthday
that was fired at 09:00 and is moved to 17:00 on that day is another local time, and a second greeting. So an edit of an
instance moves what is left of a local date: of the times that its new rule names on that date, as many of the first are
taken for done as were fired on it. A rule of once a day is over for the day, one of twice a day has one left, one of
every hour goes on with the next.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from scheduler_domain.domain.triggers import Instant, Rule

LATELY: Final = timedelta(hours=50)
"""So long ago a local date that is still going on somewhere can have begun, and 26 hours of zones apart."""

MOST_LATELY: Final = 1_000
_DAY_MS: Final = 86_400_000
_JUST_BEFORE: Final = timedelta(microseconds=1)


def first_left(rule: Rule, now: datetime, fired: Collection[UUID]) -> Instant | None:
    """Return the first instant from `now` on that is left of the rule, None where none is.

    `fired` holds the occurrences that were fired lately, or are under way. A rule that fires more often than
    `MOST_LATELY` in the time that is looked at has no days to speak of, and goes on at once.
    """
    done = Counter(_date_of(identity) for identity in fired)
    page = rule.page(now - LATELY, MOST_LATELY, until=now + LATELY)
    named = Counter(_nominal_date(instant) for instant in page.instants)
    seen: Counter[int] = Counter()
    first: Instant | None = None
    for instant in page.instants:
        date = _nominal_date(instant)
        seen[date] += 1
        if instant.at >= now and named[date] <= done[date]:
            first = None  # a date that is over, fired while its zone was ahead: the plan cannot leave it out later
        elif instant.at >= now and seen[date] > done[date]:
            first = first or instant
    if first is not None:
        return first
    from_ = now if len(page.instants) == MOST_LATELY else now + LATELY
    following = rule.page(from_ - _JUST_BEFORE, limit=1).instants
    return following[0] if following else None


def _nominal_date(instant: Instant) -> int:
    return instant.order_ms // _DAY_MS


def _date_of(identity: UUID) -> int:
    """Return the day number of an occurrence's nominal time, which its id begins with."""
    return (identity.int >> 80) // _DAY_MS
