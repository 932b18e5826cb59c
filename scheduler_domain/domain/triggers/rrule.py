"""From checked RFC 5545 parts to walkers: which local times a rule names, from its anchor to its COUNT or UNTIL."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache, reduce
from itertools import chain, compress, dropwhile, islice, takewhile, tee
from math import gcd
from operator import or_
from typing import NamedTuple

from scheduler_domain.domain.triggers.cron import MOST_TIMES_A_DAY
from scheduler_domain.domain.triggers.rrule_days import matching_days
from scheduler_domain.domain.triggers.rrule_periods import Periods, PositionSlots, chosen
from scheduler_domain.domain.triggers.rrule_text import RuleParts, refused
from scheduler_domain.domain.triggers.slots import DAY, HORIZON_YEARS, Days, DaySlots, DayTimes, Slots, walk_days
from scheduler_domain.domain.triggers.years import LAST_DAY, LAST_YEAR, YEAR_START, year_of

UNIT_SECONDS = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
_PERIOD_DAYS = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": 7, "DAILY": 1, "HOURLY": 1 / 24, "MINUTELY": 1 / 1440}


def steps_elapsed_time(rule: RuleParts) -> bool:
    """Tell whether a rule counts real seconds, whatever the wall shows: sub-daily, without any BY part."""
    return rule.frequency in UNIT_SECONDS and not rule.restricts


def rule_slots(rule: RuleParts, anchor: int) -> Slots:
    """Return the walker of the local times that a rule names from its anchor (a second on the wall) on, unlimited."""
    days = matching_days(rule, anchor // DAY)
    horizon = HORIZON_YEARS + min(LAST_YEAR, int(rule.interval * _PERIOD_DAYS.get(rule.frequency, 0)) // 365 + 1)
    if rule.frequency in UNIT_SECONDS and rule.interval > 1:
        return SteppedSlots(rule, days, anchor, horizon)
    times = _day_times(rule, anchor % DAY)
    if rule.by_position and rule.frequency in ("YEARLY", "MONTHLY", "WEEKLY"):
        periods = Periods(rule, days)
        if len(times) > 1:
            return PositionSlots(periods, times, rule.by_position, first=anchor, horizon=horizon)
        days = periods.chosen_days(rule.by_position)
    return DaySlots(days, times, anchor, horizon)


def _day_times(rule: RuleParts, anchor: int) -> DayTimes:
    """Return the times of a matching day; BYSETPOS of DAILY and shorter rules is a choice among them."""
    hours, minutes, seconds = clock_of(rule, anchor)
    times = len(hours) * len(minutes) * len(seconds)
    if rule.frequency not in UNIT_SECONDS and times > MOST_TIMES_A_DAY:
        raise refused("too-many-times", f"names {times} times a day; at most {MOST_TIMES_A_DAY:,}")
    if not rule.by_position or rule.frequency in ("YEARLY", "MONTHLY", "WEEKLY"):
        return DayTimes.product(hours, minutes, seconds)
    if rule.frequency == "DAILY":
        return DayTimes((0,), chosen(list(DayTimes.product(hours, minutes, seconds).on(0)), rule.by_position))
    if rule.frequency == "HOURLY":
        within_hour = [60 * minute + second for minute in minutes for second in seconds]
        return DayTimes(tuple(3600 * hour for hour in hours), chosen(within_hour, rule.by_position))
    if rule.frequency == "MINUTELY":
        return DayTimes.product(hours, minutes, chosen(seconds, rule.by_position))
    return DayTimes.product(hours, minutes, seconds if chosen((0,), rule.by_position) else ())


def clock_of(rule: RuleParts, anchor: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return hours, minutes and seconds: those given, else all (finer than the frequency: the anchor's)."""
    finest = {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(rule.frequency, 0)
    own = (anchor // 3600, anchor // 60 % 60, anchor % 60)
    given = (rule.by_hour, rule.by_minute, rule.by_second)
    sizes = (24, 60, 60)
    hours, minutes, seconds = (
        given[level] or (tuple(range(sizes[level])) if level < finest else (own[level],)) for level in range(3)
    )
    return hours, minutes, seconds


class _Clock(NamedTuple):
    """Wanted hours, minutes and seconds; empty where they are finer than the unit of a rule."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()


@lru_cache(maxsize=64)
def _wanted_units(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> bytes:
    """Return a byte for each hour, minute or second of a day: one where it is wanted."""
    minute = bytes(second in seconds for second in range(60)) if seconds else b"\1"
    hour = b"".join(minute if at in minutes else bytes(len(minute)) for at in range(60)) if minutes else b"\1"
    return b"".join(hour if at in hours else bytes(len(hour)) for at in range(24))


class SteppedSlots:
    """Every n-th hour, minute or second of the wall, counted from the anchor, of those that the BY parts leave.

    On a day, the units in phase are those with one remainder by n; which of them are wanted is one slice of a row of
    bytes, remembered by remainder where a day has few.
    """

    __slots__ = ("_clock", "_days", "_horizon", "_interval", "_offsets", "_phase", "_unit", "first")

    def __init__(self, rule: RuleParts, days: Days, anchor: int, horizon: int) -> None:
        hours, minutes, seconds = clock_of(rule, anchor % DAY)
        self.first = anchor
        self._days = days
        self._horizon = horizon
        self._unit = UNIT_SECONDS[rule.frequency]
        self._interval = rule.interval
        self._phase = anchor // self._unit
        if rule.frequency == "HOURLY":
            clock, finer = _Clock(hours), [60 * minute + second for minute in minutes for second in seconds]
        elif rule.frequency == "MINUTELY":
            clock, finer = _Clock(hours, minutes), list(seconds)
        else:
            clock, finer = _Clock(hours, minutes, seconds), [0]
        self._clock = clock
        self._offsets = chosen(finer, rule.by_position) if rule.by_position else tuple(finer)
        if not self._is_reachable():
            self._offsets = ()

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        return dropwhile(low.__gt__, self._by_slot(low))

    def nth(self, count: int) -> int | None:
        """Return the slot that is the `count`-th from the first on, counting a day at a time."""
        remaining = count + sum(1 for _ in takewhile(self.first.__gt__, self._by_slot(self.first // DAY * DAY)))
        per_unit, count_at = len(self._offsets), self._table.count
        for day in self._days_in_phase(self.first):
            found = per_unit * count_at(self._remainder(day))
            if found >= remaining:
                return next(islice(self._on(day, DAY * day), remaining - 1, None))
            remaining -= found
        return None

    @property
    def _table(self) -> "_UnitsInPhase":
        return _units_in_phase(self._clock, self._interval)

    def _remainder(self, day: int) -> int:
        return (self._phase - day * (DAY // self._unit)) % self._interval

    def _is_reachable(self) -> bool:
        """Tell whether any wanted unit of a day is ever in phase: steps and days share a greatest common divisor."""
        common = gcd(self._interval, DAY // self._unit)
        return any(_wanted_units(*self._clock)[self._phase % common :: common])

    def _days_in_phase(self, low: int) -> Iterator[int]:
        """Yield each matching day that has a wanted unit in phase."""
        size, interval, phase = DAY // self._unit, self._interval, self._phase
        used = self._table.used
        if not self._offsets:
            return iter(())
        if used is None:
            return self._distant_days(low)
        # a loop over every day of fifty years, so all of it in C
        days, again = tee(walk_days(self._days, low // DAY, self._horizon))
        remainders = map(interval.__rmod__, map(phase.__sub__, map(size.__mul__, again)))
        return compress(days, map(used.__getitem__, remainders))

    def _distant_days(self, low: int) -> Iterator[int]:
        """Yield the days that an interval of several days leads to, matching ones only."""
        size = DAY // self._unit
        day = max(low // DAY, YEAR_START[1])
        last = min(day + 366 * self._horizon, LAST_DAY)
        while (day := day + self._remainder(day) // size) <= last:
            year = year_of(day)
            if self._days.mask(year) >> (day - YEAR_START[year]) & 1:
                yield day
                last = min(day + 366 * self._horizon, LAST_DAY)
            day += 1

    def _by_slot(self, low: int) -> Iterator[int]:
        """Yield the slots from the hour, minute or second of `low` on."""
        return chain.from_iterable(self._on(day, low) for day in self._days_in_phase(low))

    def _on(self, day: int, low: int) -> Iterator[int]:
        """Return the slots of one day, without units that end before `low`."""
        midnight, unit, offsets = DAY * day, self._unit, self._offsets
        remainder = self._remainder(day)
        units = self._table.at(remainder) if remainder < DAY // unit else ()
        if low > midnight:
            units = units[bisect_left(units, (low - midnight) // unit) :]
        if offsets == (0,):
            return map(midnight.__add__, map(unit.__mul__, units))
        return (midnight + unit * each + offset for each in units for offset in offsets)


class _UnitsInPhase:
    """The wanted units of a day by their remainder.

    Long slices are remembered where few units are wanted: each unit has one remainder, so all of them together take
    the room of one day. Short slices are cheaper to take again.
    """

    _FEW = 5_000
    _SHORT = 100
    _FAR = 4
    """Days that an interval spans at least where it is quicker to go from one day in phase to the next."""

    def __init__(self, clock: _Clock, interval: int) -> None:
        self._wanted = _wanted_units(*clock)
        self._interval = interval
        remembers = len(self._wanted) > self._SHORT * interval and sum(self._wanted) <= self._FEW
        self._known: dict[int, tuple[int, ...]] | None = {} if remembers else None
        self.used = self._used_remainders() if interval < self._FAR * len(self._wanted) else None

    def at(self, remainder: int) -> tuple[int, ...]:
        """Return the wanted units that leave a remainder by the interval, ascending."""
        if self._known is None:
            return self._find(remainder)
        units = self._known.get(remainder)
        if units is None:
            units = self._known[remainder] = self._find(remainder)
        return units

    def count(self, remainder: int) -> int:
        """Return how many units `at` has."""
        return (
            len(self.at(remainder)) if self._known is not None else self._wanted[remainder :: self._interval].count(1)
        )

    def _used_remainders(self) -> bytes:
        """Return a byte for each remainder: not zero where any wanted unit leaves it."""
        wanted, interval = self._wanted, self._interval
        parts = (wanted[at : at + interval] for at in range(0, len(wanted), interval))
        return reduce(or_, (int.from_bytes(part, "little") for part in parts)).to_bytes(interval, "little")

    def _find(self, remainder: int) -> tuple[int, ...]:
        wanted, interval = self._wanted, self._interval
        hits = wanted[remainder::interval]
        return tuple(compress(range(remainder, len(wanted), interval), hits)) if 1 in hits else ()


@lru_cache(maxsize=64)
def _units_in_phase(clock: _Clock, interval: int) -> _UnitsInPhase:
    return _UnitsInPhase(clock, interval)


def nth_slot(slots: Slots, count: int) -> int | None:
    """Return the `count`-th slot from the rule's anchor on, or None where the calendar ends before it."""
    if isinstance(slots, DaySlots | SteppedSlots | PositionSlots):
        return slots.nth(count)
    return next(islice(slots.walk(-(1 << 60)), count - 1, None), None)
