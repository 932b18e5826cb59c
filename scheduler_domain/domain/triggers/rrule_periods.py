"""BYSETPOS: the periods (weeks, months, years) of a recurrence, and the numbered ones of what lies in each."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from scheduler_domain.domain.triggers import years
from scheduler_domain.domain.triggers.rrule_days import DaysByYear, LandingDays, first_week
from scheduler_domain.domain.triggers.rrule_text import RuleParts
from scheduler_domain.domain.triggers.slots import DAY, Days, DayTimes
from scheduler_domain.domain.triggers.years import IS_LEAP, LAST_DAY, LAST_YEAR, MONTH_STARTS, YEAR_START


def chosen(candidates: Sequence[int], positions: tuple[int, ...]) -> tuple[int, ...]:
    """Return the candidates at the given places (from 1; from the end where negative), in order, each once.

    >>> chosen([10, 20, 30], (1, -1, 7))
    (10, 30)
    """
    size = len(candidates)
    picked = {position - 1 if position > 0 else size + position for position in positions if abs(position) <= size}
    return tuple(candidates[position] for position in sorted(picked))


class Periods:
    """The matching days of a weekly, monthly or yearly rule, period by period."""

    __slots__ = ("_days", "_rule")

    def __init__(self, rule: RuleParts, days: Days) -> None:
        self._rule = rule
        self._days = days

    def chosen_days(self, positions: tuple[int, ...]) -> Days:
        """Return the numbered days of each period: enough where a day has one time only."""

        def mask(year: int) -> int:
            begin, end = YEAR_START[year], YEAR_START[year + 1]
            found = 0
            for near in range(max(1, year - 1), min(LAST_YEAR, year + 1) + 1) if self._crosses_years else (year,):
                for days in self.of_year(near):
                    for day in chosen(days, positions):
                        if begin <= day < end:
                            found |= 1 << (day - begin)
            return found

        return DaysByYear(mask)

    def of_year(self, year: int) -> Iterator[list[int]]:
        """Yield the matching days of each period that begins in a year (or is numbered by it)."""
        if isinstance(self._days, LandingDays):
            yield from self._days.periods(year)
        elif self._rule.frequency == "WEEKLY":
            week_start = self._rule.week_start
            begin, end = (YEAR_START[at] + (week_start - YEAR_START[at] - 3) % 7 for at in (year, year + 1))
            for _, days in groupby(self._between(begin, end), lambda day: (day + 3 - week_start) // 7):
                yield list(days)
        elif self._rule.by_week_number:
            yield list(
                self._between(first_week(year, self._rule.week_start), first_week(year + 1, self._rule.week_start))
            )
        elif self._rule.frequency == "YEARLY":
            yield list(self._between(YEAR_START[year], YEAR_START[year + 1]))
        else:
            starts = MONTH_STARTS[IS_LEAP[year]]
            for month in range(1, 13):
                yield list(self._between(YEAR_START[year] + starts[month], YEAR_START[year] + starts[month + 1]))

    @property
    def _crosses_years(self) -> bool:
        return (
            isinstance(self._days, LandingDays) or self._rule.frequency == "WEEKLY" or bool(self._rule.by_week_number)
        )

    def _between(self, begin: int, end: int) -> Iterator[int]:
        """Yield the matching days from `begin` to before `end`."""
        begin, end = max(begin, YEAR_START[1]), min(end, LAST_DAY + 1)
        for year in range(years.year_of(begin), years.year_of(end - 1) + 1):
            start = YEAR_START[year]
            first, after = max(begin - start, 0), end - start
            mask = (self._days.mask(year) & ((1 << after) - 1)) >> first
            for day in years.bits(mask):
                yield start + first + day


class PositionSlots:
    """BYSETPOS over weeks, months or years with several times a day: of all local times of a period, the numbered."""

    __slots__ = ("_horizon", "_periods", "_positions", "_times", "first")

    def __init__(
        self, periods: Periods, times: DayTimes, positions: tuple[int, ...], *, first: int, horizon: int
    ) -> None:
        self._periods = periods
        self._times = times
        self._positions = positions
        self._horizon = horizon
        self.first = first

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        count = len(self._times)
        # the period of the first day may have begun in the year before
        year = max(1, years.year_of(min(max(low // DAY, YEAR_START[1]), LAST_DAY)) - 1)
        last = year + self._horizon
        while year <= min(last, LAST_YEAR):
            for days in self._periods.of_year(year):
                for position in chosen(range(len(days) * count), self._positions):
                    day, time = divmod(position, count)
                    slot = DAY * days[day] + self._times[time]
                    if slot >= low:
                        yield slot
                        low, last = slot + 1, year + self._horizon
            year += 1
