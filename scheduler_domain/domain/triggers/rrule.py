"""From checked RFC 5545 parts to walkers: which local times a rule names, from its anchor to its COUNT or UNTIL."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

from scheduler_domain.domain.triggers import years
from scheduler_domain.domain.triggers.cron import MOST_TIMES_A_DAY
from scheduler_domain.domain.triggers.rrule_days import LandingDays, matching_days, week_year_of
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
        return PositionSlots(rule, days, times, anchor, horizon)
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
        return DayTimes((0,), _chosen(list(DayTimes.product(hours, minutes, seconds)), rule.by_position))
    if rule.frequency == "HOURLY":
        within_hour = [60 * minute + second for minute in minutes for second in seconds]
        return DayTimes(tuple(3600 * hour for hour in hours), _chosen(within_hour, rule.by_position))
    chosen = seconds if rule.frequency == "MINUTELY" else (0,)
    kept = _chosen(chosen, rule.by_position)
    return DayTimes.product(hours, minutes, kept if rule.frequency == "MINUTELY" else seconds if kept else ())


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


def _chosen(candidates: Sequence[int], positions: tuple[int, ...]) -> tuple[int, ...]:
    size = len(candidates)
    picked = {position - 1 if position > 0 else size + position for position in positions if abs(position) <= size}
    return tuple(candidates[position] for position in sorted(picked))


class PositionSlots:
    """BYSETPOS over weeks, months or years: of all local times of a period, the numbered ones."""

    __slots__ = ("_days", "_horizon", "_rule", "_times", "first")

    def __init__(self, rule: RuleParts, days: Days, times: DayTimes, first: int, horizon: int) -> None:
        self._rule = rule
        self._days = days
        self._times = times
        self._horizon = horizon
        self.first = first

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        count = len(self._times)
        for days in self._periods(low // DAY):
            for position in _chosen(range(len(days) * count), self._rule.by_position):
                day, time = divmod(position, count)
                slot = DAY * days[day] + self._times[time]
                if slot >= low:
                    yield slot
                    low = slot + 1

    def _periods(self, day: int) -> Iterator[list[int]]:
        if isinstance(self._days, LandingDays):
            yield from self._days.periods(day)
            return
        start = self._period_start(day)
        for _, days in groupby(walk_days(self._days, start, self._horizon), self._period):
            yield list(days)

    def _period(self, day: int) -> int:
        if self._rule.frequency == "WEEKLY":
            return (day + 3 - self._rule.week_start) // 7
        if self._rule.by_week_number:
            return week_year_of(day, self._rule.week_start)
        date = years.date_of(day)
        return date.year if self._rule.frequency == "YEARLY" else 12 * date.year + date.month

    def _period_start(self, day: int) -> int:
        if self._rule.frequency == "WEEKLY":
            return day - (day + 3 - self._rule.week_start) % 7
        if self._rule.by_week_number:
            return years.YEAR_START[week_year_of(day, self._rule.week_start)] - 3
        date = years.date_of(day)
        return years.day_of(date.year, 1 if self._rule.frequency == "YEARLY" else date.month, 1)


class SteppedSlots:
    """Every n-th hour, minute or second of the wall, counted from the anchor, of those that the BY parts leave.

    A frame (a day of hours or minutes, an hour of seconds) is a mask of its units, and every n-th unit is a mask too.
    """

    __slots__ = ("_days", "_frames", "_interval", "_offsets", "_phase", "_stripes", "_unit", "_units", "first")

    def __init__(self, rule: RuleParts, days: Days, anchor: int) -> None:
        hours, minutes, seconds = clock_of(rule, anchor % DAY)
        self.first = anchor
        self._days = days
        self._unit = UNIT_SECONDS[rule.frequency]
        self._interval = rule.interval
        self._phase = anchor // self._unit
        self._frames: tuple[int, ...] = (0,)
        if rule.frequency == "HOURLY":
            units, size = list(hours), 24
            finer = [60 * minute + second for minute in minutes for second in seconds]
        elif rule.frequency == "MINUTELY":
            units, size = [60 * hour + minute for hour in hours for minute in minutes], 1440
            finer = list(seconds)
        else:
            units, size = [60 * minute + second for minute in minutes for second in seconds], 3600
            finer = [0]
            self._frames = tuple(3600 * hour for hour in hours)
        self._offsets = _chosen(finer, rule.by_position) if rule.by_position else tuple(finer)
        self._units = sum(1 << unit for unit in units)
        self._stripes = sum(1 << unit for unit in range(0, size, rule.interval))

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        for day in walk_days(self._days, low // DAY):
            for frame in self._frames:
                start = DAY * day + frame
                lead = (self._phase - start // self._unit) % self._interval
                if lead >= DAY:
                    continue
                for unit in years.bits(self._units & (self._stripes << lead)):
                    for offset in self._offsets:
                        slot = start + self._unit * unit + offset
                        if slot >= low:
                            yield slot


def nth_slot(slots: Slots, count: int) -> int | None:
    """Return the `count`-th slot from the rule's anchor on, or None where the calendar ends before it."""
    if isinstance(slots, DaySlots):
        return slots.nth(count)
    return next(islice(slots.walk(-(1 << 60)), count - 1, None), None)
