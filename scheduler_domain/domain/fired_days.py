"""Where an edited schedule goes on: nothing that was fired is fired again, and an instance's day is not begun anew.

An occurrence is a local time, and an edit of the zone gives the local times of the next hours a second chance: 09:00 in
Berlin was fired, 09:00 in New York is the same occurrence. It is passed over.

For an instance of a template that is not enough. A birthday that was fired at 09:00 and is moved to 17:00 on that day
is another local time, and a second greeting. So an edit of an instance moves what is left of a local date: of the times
that its new rule names on that date, as many of the first are taken for done as were fired on it. A rule of once a day
is over for the day, one of twice a day has one left, one of every hour goes on with the next.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.planning import Cursor
from scheduler_domain.domain.triggers import Instant, Rule

LATELY: Final = timedelta(hours=50)
"""So long ago a local date that is still going on somewhere can have begun, and 26 hours of zones apart."""

MOST_LATELY: Final = 1_000
_DAY_MS: Final = 86_400_000
_JUST_BEFORE: Final = timedelta(microseconds=1)


def first_left(
    rule: Rule, cursor: Cursor, now: datetime, fired: Collection[UUID], *, keeps_day: bool
) -> Instant | None:
    """Return the first instant from `now` on that is left of the rule, None where none is.

    `fired` holds the ids that were fired lately; `keeps_day` for an instance of a template. A rule that fires more
    often than `MOST_LATELY` in the time that is looked at has nothing of a day's, and only repeats are passed over.
    """
    done = Counter(_date_of(identity) for identity in fired) if keeps_day else Counter()
    seen: Counter[int] = Counter()
    page = rule.page(now - LATELY, MOST_LATELY, until=now + LATELY)
    for instant in page.instants:
        date = instant.order_ms // _DAY_MS
        seen[date] += 1
        is_done = seen[date] <= done[date] or _id_of(cursor, instant) in fired
        if instant.at >= now and not is_done:
            return instant
    from_ = max(now, page.instants[-1].at + _JUST_BEFORE) if page.instants else now
    for instant in rule.page(from_ - _JUST_BEFORE, len(fired) + 1).instants:
        if _id_of(cursor, instant) not in fired:
            return instant
    return None


def _date_of(identity: UUID) -> int:
    """Return the day number of an occurrence's nominal time, which its id begins with."""
    return (identity.int >> 80) // _DAY_MS


def _id_of(cursor: Cursor, instant: Instant) -> UUID:
    kind = OccurrenceKind.SCHEDULED
    return occurrence_id(cursor.tenant_id, cursor.schedule_id, kind, instant.nominal, instant.order_ms)
