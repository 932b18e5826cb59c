"""Walking the wall clock: the local times that a calendar rule names, in order, before any zone is asked.

A slot is a local time in whole seconds since 1970-01-01T00:00:00 on the wall. Every walker answers `walk(low)` with
the slots from `low` on, ascending, each once, lazily: the caller decides how many are computed.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, takewhile
from typing import Protocol

from scheduler_domain.domain.triggers.years import LAST_DAY, LAST_YEAR, YEAR_START, year_of

DAY = 86_400
HORIZON_YEARS = 50
"""A rule that names no day for so many years in a row (beside its own interval) is taken to have ended."""


class Slots(Protocol):
    """An ordered, lazily computed set of local times."""

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        ...


class Days(Protocol):
    """The matching days of each year, as masks (see `years`)."""

    def mask(self, year: int) -> int:
        """Return the matching days of one year."""
        ...


class DayTimes:
    """The times of a day, as the sums of two short lists: `blocks` (such as hours) and `offsets` inside each block.

    86,400 times a day are then 24 + 3,600 numbers. Offsets are shorter than the distance between blocks.
    """

    __slots__ = ("_flat", "blocks", "offsets")
    _FLAT = 256

    def __init__(self, blocks: tuple[int, ...], offsets: Sequence[int]) -> None:
        self.blocks = blocks
        self.offsets = offsets if len(offsets) <= self._FLAT else array("l", offsets)
        small = len(blocks) * len(offsets) <= self._FLAT
        self._flat = tuple(block + offset for block in blocks for offset in offsets) if small else None

    @classmethod
    def product(cls, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]) -> "DayTimes":
        """Return every combination of the given hours, minutes and seconds (each ascending)."""
        within_hour = [60 * minute + second for minute in minutes for second in seconds]
        return cls(tuple(3600 * hour for hour in hours), within_hour)

    def __len__(self) -> int:
        return len(self.blocks) * len(self.offsets)

    def on(self, midnight: int, second: int = 0) -> Iterator[int]:
        """Return the slots of one day, from the given second of it on, ascending."""
        if self._flat is not None:
            return map(midnight.__add__, self._flat[bisect_left(self._flat, second) :] if second else self._flat)
        return chain.from_iterable(self._by_block(midnight, second))

    def _by_block(self, midnight: int, second: int) -> Iterator[Iterator[int]]:
        first = max(bisect_right(self.blocks, second) - 1, 0)
        for block in self.blocks[first:]:
            passed = bisect_left(self.offsets, second - block)
            yield map((midnight + block).__add__, self.offsets[passed:] if passed else self.offsets)

    def before(self, second: int) -> int:
        """Count the times of the day that are earlier than `second`."""
        full = bisect_right(self.blocks, second)
        if not full:
            return 0
        return (full - 1) * len(self.offsets) + bisect_left(self.offsets, second - self.blocks[full - 1])

    def __getitem__(self, position: int) -> int:
        if self._flat is not None:
            return self._flat[position]
        block, offset = divmod(position, len(self.offsets))
        return self.blocks[block] + self.offsets[offset]


def walk_days(days: Days, day: int, horizon_years: int = HORIZON_YEARS) -> Iterator[int]:
    """Yield the matching days from `day` on; ends after `horizon_years` years in a row without one."""
    if day > LAST_DAY:
        return
    day = max(day, YEAR_START[1])
    year = year_of(day)
    mask = days.mask(year) >> (day - YEAR_START[year])
    last = min(LAST_YEAR, year + horizon_years)
    while True:
        if mask:
            last = min(LAST_YEAR, year + horizon_years)
            if not mask & (mask + 1):
                # every day to the end of the year: no bit needs looking for
                yield from range(day, day + mask.bit_length())
                mask = 0
            while mask:
                step = (mask & -mask).bit_length()
                day += step
                yield day - 1
                mask >>= step
        year += 1
        if year > last:
            return
        day = YEAR_START[year]
        mask = days.mask(year)


class DaySlots:
    """The same times on every matching day: cron, and every RRULE of DAILY or longer without BYSETPOS."""

    __slots__ = ("days", "first", "horizon_years", "times")

    def __init__(
        self, days: Days, times: DayTimes, first: int = -(1 << 60), horizon_years: int = HORIZON_YEARS
    ) -> None:
        self.days = days
        self.times = times
        self.first = first
        self.horizon_years = horizon_years

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        if not self.times:
            return iter(())
        day, second = divmod(max(low, self.first), DAY)
        if second > self.times[-1]:
            day, second = day + 1, 0
        return chain.from_iterable(self._by_day(day, second))

    def _by_day(self, first_day: int, second: int) -> Iterator[Iterator[int]]:
        times = self.times
        for day in walk_days(self.days, first_day, self.horizon_years):
            yield times.on(DAY * day, second) if day == first_day else times.on(DAY * day)

    def nth(self, count: int) -> int | None:
        """Return the slot that is the `count`-th from the first on, counting whole years at a time."""
        first_day, second = divmod(self.first, DAY)
        per_day = len(self.times)
        if not per_day:
            return None
        year = year_of(first_day)
        mask = self.days.mask(year) >> (first_day - YEAR_START[year])
        remaining = count + (self.times.before(second) if mask & 1 else 0)
        day = first_day
        while mask.bit_count() * per_day < remaining:
            remaining -= mask.bit_count() * per_day
            year += 1
            if year > LAST_YEAR:
                return None
            day, mask = YEAR_START[year], self.days.mask(year)
        whole_days, position = divmod(remaining - 1, per_day)
        for _ in range(whole_days):
            mask &= mask - 1
        return DAY * (day + (mask & -mask).bit_length() - 1) + self.times[position]


class Limited:
    """A walker's slots up to and including `last`."""

    __slots__ = ("last", "slots")

    def __init__(self, slots: Slots, last: int) -> None:
        self.slots = slots
        self.last = last

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        return takewhile(self.last.__ge__, self.slots.walk(low))


class Listed:
    """Slots that are simply written down, such as RDATE."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Sequence[int]) -> None:
        self._slots = sorted(set(slots))

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        return iter(self._slots[bisect_left(self._slots, low) :])
