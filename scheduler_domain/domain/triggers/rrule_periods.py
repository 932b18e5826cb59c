"""BYSETPOS: the periods (weeks, months, years) of a recurrence, and the numbered ones of what lies in each."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from scheduler_domain.domain.triggers import years
from scheduler_domain.domain.triggers.rrule_days import DaysByYear, LandingDays, first_week
from scheduler_domain.domain.triggers.rrule_text import RuleParts
from scheduler_domain.domain.triggers.slots import DAY, Days, DayTimes
from scheduler_domain.domain.triggers.years import FULL_YEAR, IS_LEAP, LAST_DAY, LAST_YEAR, MONTH_STARTS, YEAR_START


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
            start, found = YEAR_START[year], 0
            for near in range(max(1, year - 1), min(LAST_YEAR, year + 1) + 1) if self._crosses_years else (year,):
                for begin, period in self.of_year(near):
                    for day in chosen(list(years.bits(period)), positions):
                        found |= 1 << (begin + day - start) if begin + day >= start else 0
            return found & FULL_YEAR[IS_LEAP[year]]

        return DaysByYear(mask)

    def of_year(self, year: int) -> Iterator[tuple[int, int]]:
        """Yield each period that begins in a year (or is numbered by it): a day, and the matching ones from it on."""
        rule, start = self._rule, YEAR_START[year]
        if isinstance(self._days, LandingDays):
            yield from self._days.periods(year)
        elif rule.frequency == "WEEKLY":
            first = (rule.week_start - start - 3) % 7
            mask = self._with_next(year)
            for begin in range(first, YEAR_START[year + 1] - start, 7):
                yield start + begin, mask >> begin & 0x7F
        elif rule.by_week_number:
            begin, end = first_week(year, rule.week_start), first_week(year + 1, rule.week_start)
            before = self._days.mask(max(1, year - 1))
            length = start - YEAR_START[max(1, year - 1)]
            mask = self._with_next(year) << length | before
            yield begin, mask >> (begin - start + length) & ((1 << (end - begin)) - 1)
        elif rule.frequency == "YEARLY":
            yield start, self._days.mask(year)
        else:
            starts, mask = MONTH_STARTS[IS_LEAP[year]], self._days.mask(year)
            for month in range(1, 13):
                yield start + starts[month], mask >> starts[month] & ((1 << (starts[month + 1] - starts[month])) - 1)

    @property
    def _crosses_years(self) -> bool:
        return (
            isinstance(self._days, LandingDays) or self._rule.frequency == "WEEKLY" or bool(self._rule.by_week_number)
        )

    def _with_next(self, year: int) -> int:
        following = self._days.mask(year + 1) if year < LAST_YEAR else 0
        return self._days.mask(year) | following << (YEAR_START[year + 1] - YEAR_START[year])


class PositionSlots:
    """BYSETPOS over weeks, months or years with several times a day: of all local times of a period, the numbered."""

    __slots__ = ("_horizon", "_known", "_periods", "_positions", "_times", "first")

    def __init__(
        self, periods: Periods, times: DayTimes, positions: tuple[int, ...], *, first: int, horizon: int
    ) -> None:
        self._periods = periods
        self._times = times
        self._positions = positions
        self._horizon = horizon
        self._known: dict[int, tuple[int, ...]] = {}
        self.first = first

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        low = max(low, self.first)
        first_day = min(max(low // DAY, YEAR_START[1] + 7), LAST_DAY)
        # the period of a day in early January may have begun in the year before
        year = years.year_of(first_day - 7)
        last = year + self._horizon
        while year <= min(last, LAST_YEAR):
            for begin, mask in self._periods.of_year(year):
                if begin + mask.bit_length() <= first_day:
                    continue
                for slot in self._since(low, begin, mask):
                    yield slot
                    low, last = slot + 1, year + self._horizon
            year += 1

    def nth(self, count: int) -> int | None:
        """Return the slot that is the `count`-th from the first on, counting a period at a time."""
        for year in range(max(1, years.year_of(self.first // DAY) - 1), LAST_YEAR + 1):
            for begin, mask in self._periods.of_year(year):
                size = len(self._places(mask.bit_count()))
                if self.first > DAY * begin or size >= count:
                    slots = list(self._since(self.first, begin, mask))
                    size = len(slots)
                    if size >= count:
                        return slots[count - 1]
                count -= size
        return None

    def _since(self, low: int, begin: int, mask: int) -> Iterator[int]:
        """Yield the chosen slots of one period that are not before `low`."""
        times = len(self._times)
        places = self._places(mask.bit_count())
        passed = max(low // DAY - begin, 0)
        first = bisect_left(places, times * (mask & ((1 << passed) - 1)).bit_count())
        if first == len(places):
            return
        days = list(years.bits(mask))
        for place in places[first:]:
            day, time = divmod(place, times)
            slot = DAY * (begin + days[day]) + self._times[time]
            if slot >= low:
                yield slot

    def _places(self, days: int) -> tuple[int, ...]:
        """Return which of the local times of so many days are chosen; few different numbers of days occur."""
        places = self._known.get(days)
        if places is None:
            places = self._known[days] = chosen(range(days * len(self._times)), self._positions)
        return places
