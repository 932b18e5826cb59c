"""Cron expressions: a strict grammar over crontab(5), with the day-of-month and day-of-week extensions of Quartz.

Own code rather than a library's parser, because each library reads some expression as something else than it says
(`5-5` as every minute, `R` as a random number), and a schedule must never mean what its author did not write.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scheduler_domain.domain.triggers import years
from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.slots import DaySlots, DayTimes
from scheduler_domain.domain.triggers.years import MONTH_LENGTHS, MONTH_STARTS, YearDays

LONGEST_CRON = 256
MOST_TIMES_A_DAY = 5_000

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DAY_NAMES = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_MONTH_NAMES = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One position of an expression: its name in words, its range, and the names that stand for numbers."""

    name: str
    low: int
    high: int
    names: dict[str, int]

    @property
    def accepts(self) -> str:
        names = f" or {next(iter(self.names))} to {list(self.names)[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}"


_SECOND = _Field("second", 0, 59, {})
_MINUTE = _Field("minute", 0, 59, {})
_HOUR = _Field("hour", 0, 23, {})
_DAY_OF_MONTH = _Field("day of month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTH_NAMES)
_DAY_OF_WEEK = _Field("day of week", 0, 7, _DAY_NAMES)

_TERM = re.compile(r"(?:(?P<any>[*?])|(?P<low>[0-9A-Z]+)(?:-(?P<high>[0-9A-Z]+))?)(?:/(?P<step>[0-9]+))?")
_NEAREST_WEEKDAY = re.compile(r"([0-9]+)W")
_LAST_OF_KIND = re.compile(r"([0-9]|[A-Z]{3})L")
_NTH_OF_KIND = re.compile(r"([0-9]|[A-Z]{3})#([0-9]+)")


@dataclass(frozen=True, slots=True)
class MonthDays:
    """The day-of-month field: numbered days, `L`, `LW` and `nW`. `starred` fields restrict nothing by themselves."""

    numbers: frozenset[int]
    last: bool = False
    last_weekday: bool = False
    nearest_weekday: int | None = None
    starred: bool = False


@dataclass(frozen=True, slots=True)
class WeekDays:
    """The day-of-week field (0 is Sunday): plain days, and (day, n) pairs where n is 1 to 5, or -1 for the last."""

    numbers: frozenset[int]
    nth: frozenset[tuple[int, int]] = frozenset()
    starred: bool = False


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A parsed expression: sorted tuples of numbers, and the two day fields, which combine by crontab(5)'s rule."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: MonthDays
    months: tuple[int, ...]
    week_days: WeekDays

    @property
    def is_interval(self) -> bool:
        """Tell whether the rule fires all through the day, and so by elapsed time rather than by named hours."""
        return len(self.hours) == 24

    @property
    def either_day(self) -> bool:
        """Tell whether a day may match by either of its two fields; it must by both where one starts with a star."""
        return not (self.month_days.starred or self.week_days.starred)

    def slots(self) -> DaySlots:
        """Return the walker of the local times that the expression names."""
        days = _days(self.month_days, self.months, self.week_days, self.either_day)
        return DaySlots(days, DayTimes.product(self.hours, self.minutes, self.seconds))


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> CronExpression:
    """Return the expression, or raise TriggerError (`cron-…`, `never-fires`) in words that say what is accepted.

    >>> parse_cron("0 9 * * MON-FRI").hours
    (9,)
    """
    fields = _fields(text)
    if len(fields) == 5:
        fields = ["0", *fields]
    expression = CronExpression(
        seconds=_numbers(_SECOND, fields[0]),
        minutes=_numbers(_MINUTE, fields[1]),
        hours=_numbers(_HOUR, fields[2]),
        month_days=_month_days(fields[3]),
        months=_numbers(_MONTH, fields[4]),
        week_days=_week_days(fields[5]),
    )
    times_a_day = len(expression.hours) * len(expression.minutes) * len(expression.seconds)
    if times_a_day > MOST_TIMES_A_DAY and not expression.is_interval:
        raise _refused(
            "too-many-times", f"names {times_a_day} times a day; at most {MOST_TIMES_A_DAY:,} (or all 24 hours)"
        )
    if _days(expression.month_days, expression.months, expression.week_days, expression.either_day).never():
        raise _refused("never-fires", "names a day that no year has; use a day of month that its months have")
    return expression


def _refused(code: str, reason: str) -> TriggerError:
    return TriggerError(code, f"trigger.cron {reason}.", "trigger.cron")


def _fields(text: str) -> list[str]:
    if len(text) > LONGEST_CRON:
        raise _refused("cron-length", f"has {len(text)} characters; at most {LONGEST_CRON}")
    if not text.isascii() or not text.replace("\t", " ").isprintable():
        raise _refused(
            "cron-syntax", "holds a character outside printable ASCII; use digits, names and * ? , - / L W #"
        )
    expression = text.strip().upper()
    if expression.startswith("@"):
        macro = MACROS.get(expression.lower())
        if macro is None:
            raise _refused("cron-macro", f"is an unknown macro; use one of {' '.join(MACROS)}")
        return macro.split()
    if expression.startswith(("TZ=", "CRON_TZ=")):
        raise _refused("cron-zone", "holds a zone; put it into the schedule's tz instead")
    fields = expression.split()
    if len(fields) not in (5, 6):
        raise _refused(
            "cron-fields",
            f"has {len(fields)} fields; use 5 (minute hour day-of-month month day-of-week), or 6 with seconds first",
        )
    return fields


def _numbers(field: _Field, text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    for term in text.split(","):
        chosen.update(_term(field, term))
    return tuple(sorted(chosen))


def _term(field: _Field, term: str) -> range:
    match = _TERM.fullmatch(term)
    if match is None or (match["any"] == "?" and field not in (_DAY_OF_MONTH, _DAY_OF_WEEK)):
        raise _bad_term(field, term)
    step = int(match["step"]) if match["step"] else 1
    if step == 0:
        raise _refused("cron-step", f"has a step of 0 in its {field.name}; a step is 1 or more")
    if match["any"]:
        return range(field.low, _top(field) + 1, step)
    low = _value(field, match["low"], term)
    if match["high"] is None:
        return _open_range(field, term, low, step) if match["step"] else range(low, low + 1)
    high = _value(field, match["high"], term)
    if high < low:
        raise _refused(
            "cron-range",
            f"has a range that runs backwards in its {field.name} ({term}); write two ranges, joined by a comma",
        )
    return range(low, high + 1, step)


def _open_range(field: _Field, term: str, low: int, step: int) -> range:
    top = _top(field)
    if low > top:
        raise _refused(
            "cron-range",
            f"has {term} as its {field.name}, which starts behind the last one, {top}; write Sunday as 0 before a step",
        )
    return range(low, top + 1, step)


def _top(field: _Field) -> int:
    """Return the last number of an open range: Sunday is 0 there, lest `1/2` mean Monday to Sunday."""
    return 6 if field is _DAY_OF_WEEK else field.high


def _value(field: _Field, text: str, term: str) -> int:
    number = field.names.get(text)
    if number is not None:
        return number
    if not text.isdigit():
        raise _bad_term(field, term)
    number = int(text)
    if not field.low <= number <= field.high:
        raise _refused("cron-value", f"has {text} as its {field.name}; use {field.accepts}")
    return number


def _bad_term(field: _Field, term: str) -> TriggerError:
    shown = term if len(term) <= 20 else term[:20] + "…"
    extra = {_DAY_OF_MONTH.name: ", ?, L, LW, 15W", _DAY_OF_WEEK.name: ", ?, 5L, FRI#2"}.get(field.name, "")
    return _refused(
        "cron-syntax",
        f"has {shown!r} as its {field.name}; use {field.accepts}, as 1,2  1-5  */2  1-5/2  *{extra}",
    )


def _month_days(text: str) -> MonthDays:
    terms = text.split(",")
    nearest = _NEAREST_WEEKDAY.fullmatch(text)
    if nearest is not None:
        return MonthDays(frozenset(), nearest_weekday=_value(_DAY_OF_MONTH, nearest[1], text))
    numbers: set[int] = set()
    for term in terms:
        if _NEAREST_WEEKDAY.fullmatch(term):
            raise _refused("cron-syntax", f"has {term} beside other days of month; it stands alone in its field")
        if term not in ("L", "LW"):
            numbers.update(_term(_DAY_OF_MONTH, term))
    return MonthDays(
        frozenset(numbers), last="L" in terms, last_weekday="LW" in terms, starred=text.startswith(("*", "?"))
    )


def _week_days(text: str) -> WeekDays:
    numbers: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for term in text.split(","):
        last, numbered = _LAST_OF_KIND.fullmatch(term), _NTH_OF_KIND.fullmatch(term)
        if last is not None:
            nth.add((_value(_DAY_OF_WEEK, last[1], term) % 7, -1))
        elif numbered is not None:
            if not 1 <= int(numbered[2]) <= 5:
                raise _refused("cron-value", f"has {term} as its day of week; the number after # is 1 to 5")
            nth.add((_value(_DAY_OF_WEEK, numbered[1], term) % 7, int(numbered[2])))
        else:
            numbers.update(day % 7 for day in _term(_DAY_OF_WEEK, term))
    return WeekDays(frozenset(numbers), frozenset(nth), starred=text.startswith(("*", "?")))


@lru_cache(maxsize=4096)
def _days(month_days: MonthDays, months: tuple[int, ...], week_days: WeekDays, either: bool) -> YearDays:
    """Return the matching days of each kind of year; shared by all expressions with the same three day fields."""
    of_month, of_week = _month_day_mask(month_days), _week_day_mask(week_days)

    def build(leap: bool, first_weekday: int) -> int:
        by_month, by_week = of_month(leap, first_weekday), of_week(leap, first_weekday)
        return years.months(leap, months) & (by_month | by_week if either else by_month & by_week)

    return YearDays(build)


def _month_day_mask(field: MonthDays) -> Callable[[bool, int], int]:
    def build(leap: bool, first_weekday: int) -> int:
        mask = 0
        for day in field.numbers:
            mask |= years.month_day(leap, day)
        if field.last:
            mask |= years.month_day(leap, -1)
        if field.last_weekday:
            mask |= _nearest_weekday(leap, first_weekday, 31)
        if field.nearest_weekday is not None:
            mask |= _nearest_weekday(leap, first_weekday, field.nearest_weekday)
        return mask

    return build


def _nearest_weekday(leap: bool, first_weekday: int, wanted: int) -> int:
    """Return, for each month, the weekday nearest to a day, within the month; a short month's last day stands in.

    Quartz's `W`; what a month without the day does is croniter's reading (`31W` is the last weekday of April).
    """
    mask = 0
    for month in range(1, 13):
        length, start = MONTH_LENGTHS[leap][month], MONTH_STARTS[leap][month]
        day = min(wanted, length)
        weekday = (first_weekday + start + day - 1) % 7
        if weekday == 5:
            day += -1 if day > 1 else 2
        elif weekday == 6:
            day += 1 if day < length else -2
        mask |= 1 << (start + day - 1)
    return mask


def _week_day_mask(field: WeekDays) -> Callable[[bool, int], int]:
    def build(leap: bool, first_weekday: int) -> int:
        mask = 0
        for number in field.numbers:
            mask |= years.weekday(leap, first_weekday, (number - 1) % 7)
        starts = MONTH_STARTS[leap]
        for number, nth in field.nth:
            for month in range(1, 13):
                mask |= years.nth_weekday(starts[month], starts[month + 1], first_weekday, (number - 1) % 7, nth)
        return mask

    return build
