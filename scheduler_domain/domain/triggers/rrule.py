"""From checked RFC 5545 parts to walkers: which local times a rule names, from its anchor to its COUNT or UNTIL."""

from collections.abc import Iterator
from itertools import chain, compress, dropwhile, islice
from math import gcd

from scheduler_domain.domain.triggers.cron import MOST_TIMES_A_DAY
from scheduler_domain.domain.triggers.rrule_days import matching_days
from scheduler_domain.domain.triggers.rrule_periods import Periods, PositionSlots, chosen
from scheduler_domain.domain.triggers.rrule_text import RuleParts, refused
from scheduler_domain.domain.triggers.slots import DAY, HORIZON_YEARS, Days, DaySlots, DayTimes, Slots, walk_days
from scheduler_domain.domain.triggers.years import LAST_YEAR

UNIT_SECONDS = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
_INTERVAL_YEARS = {"YEARLY": 1.0, "MONTHLY": 1 / 12, "WEEKLY": 7 / 365, "DAILY": 1 / 365}


def steps_elapsed_time(rule: RuleParts) -> bool:
    """Tell whether a rule counts real seconds, whatever the wall shows: sub-daily, without any BY part."""
    return rule.frequency in UNIT_SECONDS and not rule.restricts


def rule_slots(rule: RuleParts, anchor: int) -> Slots:
    """Return the walker of the local times that a rule names from its anchor (a second on the wall) on, unlimited."""
    days = matching_days(rule, anchor // DAY)
    horizon = HORIZON_YEARS + min(LAST_YEAR, int(rule.interval * _INTERVAL_YEARS.get(rule.frequency, 0)) + 1)
    if rule.frequency in UNIT_SECONDS and rule.interval > 1:
        return SteppedSlots(rule, days, anchor)
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


class SteppedSlots:
    """Every n-th hour, minute or second of the wall, counted from the anchor, of those that the BY parts leave.

    A frame is a day of hours or minutes, or an hour of seconds. The units of a frame that BY parts leave are the ones
    in a row of bytes, so that every n-th of them is a slice.
    """

    __slots__ = ("_days", "_frames", "_interval", "_offsets", "_phase", "_unit", "_wanted", "first")

    def __init__(self, rule: RuleParts, days: Days, anchor: int) -> None:
        hours, minutes, seconds = clock_of(rule, anchor % DAY)
        self.first = anchor
        self._days = days
        self._unit = UNIT_SECONDS[rule.frequency]
        self._interval = rule.interval
        self._phase = anchor // self._unit
        self._frames: tuple[int, ...] = (0,)
        if rule.frequency == "HOURLY":
            size, units = 24, list(hours)
            finer = [60 * minute + second for minute in minutes for second in seconds]
        elif rule.frequency == "MINUTELY":
            size, units = 1440, [60 * hour + minute for hour in hours for minute in minutes]
            finer = list(seconds)
        else:
            size, units = 3600, [60 * minute + second for minute in minutes for second in seconds]
            finer = [0]
            self._frames = tuple(3600 * hour for hour in hours)
        wanted = bytearray(size)
        for unit in units:
            wanted[unit] = 1
        self._wanted = bytes(wanted)
        self._offsets = chosen(finer, rule.by_position) if rule.by_position else tuple(finer)
        if not self._is_reachable():
            self._offsets = ()

    def _is_reachable(self) -> bool:
        """Tell whether any wanted unit of a day is ever in phase: steps and days share a greatest common divisor."""
        common = gcd(self._interval, DAY // self._unit)
        return any(any(self._wanted[(self._phase - frame // self._unit) % common :: common]) for frame in self._frames)

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        slots = chain.from_iterable(self._by_frame(low // DAY, low))
        return dropwhile(low.__gt__, slots)

    def _by_frame(self, first_day: int, low: int) -> Iterator[Iterator[int]]:
        unit, step, wanted, offsets = self._unit, self._interval, self._wanted, self._offsets
        size = len(wanted)
        frame_length = size * unit
        day_units = DAY // unit
        if not offsets:
            return
        for day in walk_days(self._days, first_day):
            if (self._phase - day * day_units) % step >= day_units:
                continue
            for frame in self._frames:
                start = DAY * day + frame
                if start + frame_length <= low:
                    continue
                lead = (self._phase - start // unit) % step
                if start + lead * unit < low:
                    lead += ((low - start) // unit - lead) // step * step
                if lead >= size:
                    continue
                units = compress(range(start + lead * unit, start + frame_length, step * unit), wanted[lead::step])
                if offsets == (0,):
                    yield units
                else:
                    yield (slot + offset for slot in units for offset in offsets)


def nth_slot(slots: Slots, count: int) -> int | None:
    """Return the `count`-th slot from the rule's anchor on, or None where the calendar ends before it."""
    if isinstance(slots, DaySlots):
        return slots.nth(count)
    return next(islice(slots.walk(-(1 << 60)), count - 1, None), None)
