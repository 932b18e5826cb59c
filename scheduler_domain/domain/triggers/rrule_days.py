"""Which days an RFC 5545 rule names: its BY parts as masks of years, its INTERVAL as a phase, its SKIP as a landing.

BY parts that name days are all limits of the year they stand in, so a day is wanted where every given part names it
(RFC 5545 §3.3.10, notes 1 and 2); plain and numbered BYDAY values are a union. A week number belongs to the days that
carry it, on whichever side of New Year they lie, and INTERVAL counts the years that weeks are numbered by.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from scheduler_domain.domain.triggers import years
from scheduler_domain.domain.triggers.rrule_text import RuleParts
from scheduler_domain.domain.triggers.slots import Days
from scheduler_domain.domain.triggers.years import (
    FIRST_WEEKDAY,
    FULL_YEAR,
    IS_LEAP,
    LAST_YEAR,
    MONTH_LENGTHS,
    MONTH_STARTS,
    YEAR_START,
    YearDays,
    date_of,
)


@dataclass(frozen=True, slots=True)
class DayParts:
    """The parts of a rule that name days, with what its DTSTART stands for filled in."""

    by_month: tuple[int, ...]
    by_week_number: tuple[int, ...]
    by_year_day: tuple[int, ...]
    by_month_day: tuple[int, ...]
    by_weekday: tuple[tuple[int, int], ...]
    within_month: bool
    """Whether a numbered weekday counts within its month (or else within its year)."""
    week_start: int
    skip: str


def matching_days(rule: RuleParts, anchor: int) -> Days:
    """Return the days a rule names, in the phase that its anchor (a day number) gives to its INTERVAL."""
    parts = _with_anchor(rule, date_of(anchor))
    # only a numbered day can be missing from its month or year; weekdays and weeks always exist
    if parts.skip != "OMIT" and (parts.by_month_day or parts.by_year_day):
        return LandingDays(parts, rule, anchor)
    if parts.by_week_number:
        return _week_days(parts, rule.interval, anchor)
    days = _calendar_days(parts)
    if rule.interval == 1 or rule.frequency in ("HOURLY", "MINUTELY", "SECONDLY"):
        return days
    return DaysByYear(lambda year: days.mask(year) & _phase(rule, anchor, year))


def _with_anchor(rule: RuleParts, anchor: date) -> DayParts:
    """Fill in what RFC 5545 takes from DTSTART where a rule leaves it open."""
    parts = DayParts(
        by_month=rule.by_month,
        by_week_number=rule.by_week_number,
        by_year_day=rule.by_year_day,
        by_month_day=rule.by_month_day,
        by_weekday=rule.by_weekday,
        within_month=rule.frequency == "MONTHLY" or bool(rule.by_month),
        week_start=rule.week_start if rule.by_week_number else 0,
        skip=rule.skip,
    )
    if rule.by_weekday or rule.by_month_day or rule.by_year_day:
        return parts
    weekday = ((anchor.weekday(), 0),)
    if rule.frequency == "WEEKLY" or rule.by_week_number:
        return replace(parts, by_weekday=weekday)
    if rule.frequency == "MONTHLY" or (rule.frequency == "YEARLY" and rule.by_month):
        return replace(parts, by_month_day=(anchor.day,))
    if rule.frequency == "YEARLY":
        return replace(parts, by_month=(anchor.month,), by_month_day=(anchor.day,))
    return parts


@lru_cache(maxsize=4096)
def _calendar_days(parts: DayParts) -> Days:
    return YearDays(_year_mask(parts))


def _week_days(parts: DayParts, interval: int, anchor: int) -> Days:
    # whether 1 January is in week 52 or 53 depends on the year before, so fourteen kinds of year do not suffice
    days = _calendar_days(replace(parts, by_week_number=(), skip="OMIT"))
    first = week_year_of(anchor, parts.week_start)
    return DaysByYear(lambda year: days.mask(year) & _weeks(year, parts, first, interval))


def _year_mask(parts: DayParts) -> Callable[[bool, int], int]:
    def build(leap: bool, first_weekday: int) -> int:
        mask = FULL_YEAR[leap]
        if parts.by_month:
            mask &= years.months(leap, parts.by_month)
        if parts.by_month_day:
            mask &= _union(years.month_day(leap, day) for day in parts.by_month_day)
        if parts.by_year_day:
            mask &= _union(_year_day(leap, day) for day in parts.by_year_day)
        if parts.by_weekday:
            mask &= _weekdays(parts, leap, first_weekday)
        return mask

    return build


def _union(masks: Iterator[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _year_day(leap: bool, day: int) -> int:
    length = 365 + leap
    return 1 << (day - 1 if day > 0 else length + day) if abs(day) <= length else 0


def _weekdays(parts: DayParts, leap: bool, first_weekday: int) -> int:
    starts = MONTH_STARTS[leap]
    mask = 0
    for weekday, nth in parts.by_weekday:
        if nth == 0:
            mask |= years.weekday(leap, first_weekday, weekday)
        elif parts.within_month:
            for month in range(1, 13):
                mask |= years.nth_weekday(starts[month], starts[month + 1], first_weekday, weekday, nth)
        else:
            mask |= years.nth_weekday(0, 365 + leap, first_weekday, weekday, nth)
    return mask


def _weeks(year: int, parts: DayParts, first_year: int, interval: int) -> int:
    """Return the days of a calendar year that lie in weeks of the wanted numbers (ISO 8601, from `week_start`)."""
    mask = 0
    for week_year in range(max(1, year - 1), min(LAST_YEAR - 1, year + 1) + 1):
        if (week_year - first_year) % interval:
            continue
        first, following = first_week(week_year, parts.week_start), first_week(week_year + 1, parts.week_start)
        count = (following - first) // 7
        for number in parts.by_week_number:
            week = number if number > 0 else count + 1 + number
            if 1 <= week <= count:
                begin = first + 7 * (week - 1) - YEAR_START[year]
                mask |= 0x7F << begin if begin >= 0 else 0x7F >> min(-begin, 7)
    return mask & FULL_YEAR[IS_LEAP[year]]


def week_year_of(day: int, week_start: int) -> int:
    """Return the year that numbers the week of a day: the one that holds at least four days of it."""
    return years.date_of(day - (day + 3 - week_start) % 7 + 3).year


def first_week(year: int, week_start: int) -> int:
    """Return the day on which week 1 begins: the first week with at least four days in the year."""
    year = min(year, LAST_YEAR)
    into_week = (FIRST_WEEKDAY[year] - week_start) % 7
    return YEAR_START[year] - into_week + (7 if into_week > 3 else 0)


def _phase(rule: RuleParts, anchor: int, year: int) -> int:
    """Return the days of a year that lie in the periods which INTERVAL leaves, counted from the anchor's period."""
    interval, whole = rule.interval, FULL_YEAR[IS_LEAP[year]]
    start = date_of(anchor)
    if rule.frequency == "YEARLY":
        return whole if (year - start.year) % interval == 0 else 0
    if rule.frequency == "MONTHLY":
        return years.months(IS_LEAP[year], _months_in_phase(rule, start, year))
    if rule.frequency == "DAILY":
        return years.every(interval, anchor, year)
    step = 7 * interval
    week = anchor - (anchor + 3 - rule.week_start) % 7
    begin = (week - YEAR_START[year]) % step - step
    mask = 0
    while begin < 366:
        mask |= 0x7F << begin if begin >= 0 else 0x7F >> min(-begin, 7)
        begin += step
    return mask & whole


def _months_in_phase(rule: RuleParts, start: date, year: int) -> list[int]:
    since = 12 * (year - start.year) - start.month
    return [month for month in range(1, 13) if (since + month) % rule.interval == 0]


class DaysByYear:
    """Matching days that differ from year to year, each year's computed once."""

    __slots__ = ("_build", "_masks")

    def __init__(self, build: Callable[[int], int]) -> None:
        self._build = build
        self._masks: dict[int, int] = {}

    def mask(self, year: int) -> int:
        """Return the matching days of one year."""
        mask = self._masks.get(year)
        if mask is None:
            mask = self._masks[year] = self._build(year)
        return mask


class LandingDays(DaysByYear):
    """The days of a rule with RFC 7529 SKIP: where a named day does not exist, the one before or after stands in.

    The phase of INTERVAL and BYMONTH is that of the day as named, weekday and week number that of the day landed on.
    """

    __slots__ = ("_limits", "_parts", "_rule", "_start")

    def __init__(self, parts: DayParts, rule: RuleParts, anchor: int) -> None:
        super().__init__(self._landed_in)
        self._rule = rule
        self._parts = parts
        self._start = date_of(anchor)
        by_month = parts.by_month if parts.by_year_day else ()
        limits = replace(parts, by_month=by_month, by_month_day=(), by_year_day=(), skip="OMIT")
        self._limits = _week_days(limits, 1, anchor) if parts.by_week_number else _calendar_days(limits)

    def periods(self, year: int) -> Iterator[tuple[int, int]]:
        """Yield a day, and the days from it on that one period of the rule names; for BYSETPOS."""
        if self._rule.frequency == "MONTHLY":
            limit = self._limits.mask(year)
            for month in self._months(year):
                yield YEAR_START[year], limit & self._of_month(year, month)
            return
        before, own, after = self._of_year(year)
        length = 365 + IS_LEAP[year]
        if before and year > 1 and self._limits.mask(year - 1) >> (364 + IS_LEAP[year - 1]) & 1:
            yield YEAR_START[year] - 1, 1 | (own & self._limits.mask(year)) << 1
            return
        following = after and year < LAST_YEAR and self._limits.mask(year + 1) & 1
        yield YEAR_START[year], own & self._limits.mask(year) | (1 << length if following else 0)

    def _landed_in(self, year: int) -> int:
        _, mask, _ = self._of_year(year)
        if year < LAST_YEAR and self._of_year(year + 1)[0]:
            mask |= 1 << (364 + IS_LEAP[year])
        if year > 1 and self._of_year(year - 1)[2]:
            mask |= 1
        return mask & self._limits.mask(year)

    def _of_year(self, year: int) -> tuple[bool, int, bool]:
        """Return where the days named in one year land: on the last day before it, in it, on the first day after it."""
        parts = self._parts
        if self._rule.frequency == "YEARLY" and (year - self._start.year) % self._rule.interval:
            return False, 0, False
        mask = FULL_YEAR[IS_LEAP[year]]
        if parts.by_month_day or not parts.by_year_day:
            mask = _union(self._of_month(year, month) for month in self._months(year))
        if not parts.by_year_day:
            return False, mask, False
        before, named, after = _year_landing(IS_LEAP[year], parts.by_year_day, parts.skip)
        alone = not parts.by_month_day
        return before and alone, mask & named, after and alone

    def _months(self, year: int) -> list[int]:
        rule = self._rule
        in_phase = _months_in_phase(rule, self._start, year) if rule.frequency == "MONTHLY" else range(1, 13)
        return [month for month in in_phase if not self._parts.by_month or month in self._parts.by_month]

    def _of_month(self, year: int, month: int) -> int:
        return _month_landing(IS_LEAP[year], month, self._parts.by_month_day, self._parts.skip)


@lru_cache(maxsize=1024)
def _year_landing(leap: bool, numbers: tuple[int, ...], skip: str) -> tuple[bool, int, bool]:
    """Return where the numbered days of a year land: on the last day before it, in it, on the first day after it."""
    length = 365 + leap
    days = {_landing(length, number, skip) for number in numbers}
    return -1 in days, _union(1 << day for day in days if 0 <= day < length), length in days


@lru_cache(maxsize=4096)
def _month_landing(leap: bool, month: int, numbers: tuple[int, ...], skip: str) -> int:
    """Return where the numbered days of one month land, as days of the year; all its days where none are numbered."""
    start, length = MONTH_STARTS[leap][month], MONTH_LENGTHS[leap][month]
    days = {_landing(length, number, skip) for number in numbers} if numbers else range(length)
    return _union(1 << (start + day) for day in days)


def _landing(length: int, number: int, skip: str) -> int:
    """Return the place of a numbered day in a period of `length` days, or its neighbour's where the period is short."""
    place = number - 1 if number > 0 else length + number
    if place >= length:
        return length if skip == "FORWARD" else length - 1
    if place < 0:
        return 0 if skip == "FORWARD" else -1
    return place
