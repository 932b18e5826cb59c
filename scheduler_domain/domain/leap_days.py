"""What becomes of 29 February in a year without one, in words: the question of each yearly rule on that day."""

from datetime import UTC, datetime
from typing import Final

from scheduler_domain.domain.triggers import Note, Rule

_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
                  "November", "December")  # fmt: skip
_CODE: Final = "leap-day"


def leap_day_note(rule: Rule, now: datetime) -> Note | None:
    """Return what a rule of one date a year makes of 29 February; None for every other rule.

    It looks at what the rule does, in the next leap year and a common one before it, and not at how it is written.
    """
    leap = next(year for year in range(now.year + 1, now.year + 10) if _is_leap(year))
    common = next(year for year in range(leap - 1, leap - 4, -1) if not _is_leap(year))
    if _dates_in(rule, leap) != [(2, 29)]:
        return None
    dates = _dates_in(rule, common)
    if len(dates) > 1:
        return None
    if not dates:
        return Note(_CODE, "in leap years only, on 29 February")
    month, day = dates[0]
    return Note(_CODE, f"in leap years on 29 February, in common years on {day} {_MONTHS[month - 1]}")


def _dates_in(rule: Rule, year: int) -> list[tuple[int, int]]:
    """Return the local dates of a year, three at most, that the rule names."""
    around = rule.page(datetime(year - 1, 12, 29, tzinfo=UTC), 8, until=datetime(year + 1, 1, 3, tzinfo=UTC))
    return [(at.local.month, at.local.day) for at in around.instants if at.local.year == year][:3]


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
