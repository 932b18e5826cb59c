"""A year as one integer: bit `i` is the day `i` days after 1 January.

"The second Tuesday or the 15th, from June to August" is then a few bitwise operations for a whole year, and the next
matching day is the lowest set bit. There are only fourteen kinds of year (leap or not, by the weekday of 1 January),
so a calendar rule is computed at most fourteen times.

Days are counted from 1970-01-01, weekdays from Monday as 0.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import lru_cache

LAST_YEAR = 2200
"""The calendar of this engine ends with this year; nothing is due later."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LENGTHS = (
    (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
    (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
)
MONTH_LENGTHS = tuple((0, *lengths) for lengths in _LENGTHS)
"""Days in month `m` (1 to 12) of a common (0) or a leap (1) year."""
MONTH_STARTS = tuple((0, *(sum(lengths[:month]) for month in range(13))) for lengths in _LENGTHS)
"""Day of the year on which month `m` (1 to 12; 13 is the year's end) begins."""

YEAR_START = [date(max(year, 1), 1, 1).toordinal() - _EPOCH_ORDINAL for year in range(LAST_YEAR + 2)]
"""The day on which a year begins, indexed by the year (1 to LAST_YEAR + 1)."""
LAST_DAY = YEAR_START[LAST_YEAR + 1] - 1
IS_LEAP = [YEAR_START[year + 1] - YEAR_START[year] == 366 for year in range(LAST_YEAR + 1)]
FIRST_WEEKDAY = [(YEAR_START[year] + 3) % 7 for year in range(LAST_YEAR + 1)]

_EVERY_SEVENTH = sum(1 << day for day in range(0, 372, 7))
FULL_YEAR = ((1 << 365) - 1, (1 << 366) - 1)

YearMask = Callable[[bool, int], int]
"""Builds the mask of one kind of year from (leap, weekday of 1 January)."""


def year_of(day: int) -> int:
    """Return the calendar year of a day."""
    return date.fromordinal(day + _EPOCH_ORDINAL).year


def day_of(year: int, month: int, day: int) -> int:
    """Return the day number of a calendar date."""
    return date(year, month, day).toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """Return the calendar date of a day number; the calendar's first for the days before, at which rules may look."""
    return date.fromordinal(max(day + _EPOCH_ORDINAL, 1))


def months(leap: bool, chosen: Iterable[int]) -> int:
    """Return all days of the chosen months (1 to 12)."""
    starts = MONTH_STARTS[leap]
    mask = 0
    for month in chosen:
        mask |= (1 << starts[month + 1]) - (1 << starts[month])
    return mask


@lru_cache(maxsize=64)
def month_day(leap: bool, day: int) -> int:
    """Return one day of the month (1 to 31, or -1 to -31 from the end) in each month that has it."""
    mask = 0
    for month in range(1, 13):
        length = MONTH_LENGTHS[leap][month]
        if 1 <= abs(day) <= length:
            mask |= 1 << (MONTH_STARTS[leap][month] + (day - 1 if day > 0 else length + day))
    return mask


def weekday(leap: bool, first_weekday: int, chosen: int) -> int:
    """Return each day of the year that falls on a weekday (0 is Monday)."""
    return (_EVERY_SEVENTH << (chosen - first_weekday) % 7) & FULL_YEAR[leap]


def nth_weekday(start: int, end: int, first_weekday: int, chosen: int, nth: int) -> int:
    """Return the n-th given weekday (from the end where n is negative) of the days `start <= day < end`, if any."""
    if nth > 0:
        day = start + (chosen - first_weekday - start) % 7 + 7 * (nth - 1)
    else:
        day = end - 1 - (first_weekday + end - 1 - chosen) % 7 + 7 * (nth + 1)
    return 1 << day if start <= day < end else 0


def every(interval: int, phase: int, year: int) -> int:
    """Return the days of a year that lie a multiple of `interval` days from the day `phase`."""
    first = (phase - YEAR_START[year]) % interval
    if first >= 366:
        return 0
    return (_stripes(min(interval, 366)) << first) & FULL_YEAR[IS_LEAP[year]]


@lru_cache(maxsize=366)
def _stripes(interval: int) -> int:
    return sum(1 << day for day in range(0, 366, interval))


def bits(mask: int) -> Iterator[int]:
    """Yield the positions of the set bits, ascending."""
    position = -1
    while mask:
        step = (mask & -mask).bit_length()
        position += step
        yield position
        mask >>= step


class YearDays:
    """The days a calendar rule matches, for any year, computed once per kind of year."""

    __slots__ = ("_build", "_masks")

    def __init__(self, build: YearMask) -> None:
        self._build = build
        self._masks: list[int | None] = [None] * 14

    def mask(self, year: int) -> int:
        """Return the matching days of one year."""
        leap, first_weekday = IS_LEAP[year], FIRST_WEEKDAY[year]
        kind = 7 * leap + first_weekday
        mask = self._masks[kind]
        if mask is None:
            mask = self._masks[kind] = self._build(leap, first_weekday)
        return mask

    def never(self) -> bool:
        """Tell whether no year of any kind has a matching day."""
        return not any(self._build(leap, first_weekday) for leap in (False, True) for first_weekday in range(7))
