"""Days on which nothing fires, and the business day to which their occurrences move.

A day is judged on the local date that the rule names, before gaps and folds. Without `roll` an excluded occurrence is
simply not due. With it, the occurrence moves by whole days to a business day (one that is neither excluded nor part of
the weekend) and meets whatever the rule itself has there: two at the same local time are one.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple, Protocol

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.local_time import DAY, day_number
from scheduler_domain.domain.triggers.slots import Slots
from scheduler_domain.domain.triggers.spec import Exclusions
from scheduler_domain.domain.triggers.years import date_of
from scheduler_domain.domain.triggers.zones import Zone

MOST_EXCLUDED_DATES = 1_000
FARTHEST_ROLL = 31
"""Days within which a business day must lie; beyond, the occurrence is skipped."""
_LONGEST_EXCLUDED_RUN = 50 * 366
"""Days after which a rule all of whose occurrences are excluded is taken to have ended."""
_MOST_EXCLUDED_DAYS = 3_000
"""The same, as a number of excluded occurrences' days: it bounds the search through a dense rule."""

_LONGEST_JUMP = DAY // 4
_FEW_SLOTS = 16

_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_REGION = re.compile(r"[A-Z0-9]{1,8}", re.ASCII)


class HolidayCalendar(Protocol):
    """What the `holidays` package offers for one country."""

    weekend: set[int]

    def get(self, key: date) -> str | None:
        """Return the name of the holiday on a date."""
        ...


class ExcludedDays:
    """Which local dates are excluded, why, and where their occurrences go."""

    __slots__ = ("_dates", "_holidays", "_weekdays", "_weekend", "roll")

    def __init__(self, exclusions: Exclusions) -> None:
        self._dates = frozenset(_parse_date(text) for text in _bounded(exclusions.dates))
        self._weekdays = frozenset(_parse_weekday(text) for text in exclusions.weekdays)
        if len(self._weekdays) == 7:
            raise TriggerError("never-fires", "exclude.weekdays names all seven days; leave one.", "exclude.weekdays")
        if exclusions.roll not in ("SKIP", "NEXT", "PREVIOUS"):
            raise TriggerError(
                "exclude-roll", "exclude.roll must be SKIP (the default), NEXT or PREVIOUS.", "exclude.roll"
            )
        self.roll = exclusions.roll
        self._holidays = _holiday_calendar(exclusions.country, exclusions.subdivision)
        self._weekend = frozenset({5, 6} if self._holidays is None else self._holidays.weekend)

    def reason(self, day: int) -> str | None:
        """Return why a day (a day number) is excluded, in words, or None where it is not."""
        if (day + 3) % 7 in self._weekdays:
            return _WEEKDAYS[(day + 3) % 7].capitalize()
        if day in self._dates:
            return "excluded date"
        return None if self._holidays is None else self._holidays.get(date_of(day))

    def is_business_day(self, day: int) -> bool:
        """Tell whether a rolled occurrence may land on a day."""
        return (day + 3) % 7 not in self._weekend and self.reason(day) is None

    def landing(self, day: int) -> int | None:
        """Return the day on which the occurrences of a day take place, or None where they do not."""
        if self.reason(day) is None:
            return day
        if self.roll == "SKIP":
            return None
        step = 1 if self.roll == "NEXT" else -1
        return next(
            (day + step * away for away in range(1, FARTHEST_ROLL + 1) if self.is_business_day(day + step * away)), None
        )

    def earliest_landing_from(self, day: int) -> int:
        """Return a day before which no occurrence of `day` or a later one takes place."""
        if self.roll != "PREVIOUS":
            return day
        back = (day - away for away in range(FARTHEST_ROLL + 1))
        return next((before for before in back if self.is_business_day(before)), day - FARTHEST_ROLL)


def _bounded(dates: tuple[str, ...]) -> tuple[str, ...]:
    if len(dates) > MOST_EXCLUDED_DATES:
        raise TriggerError(
            "exclude-dates",
            f"exclude.dates has {len(dates):,} dates; at most {MOST_EXCLUDED_DATES:,}.",
            "exclude.dates",
        )
    return dates


def _parse_date(text: str) -> int:
    try:
        if len(text) != 10:
            raise ValueError
        return day_number(date.fromisoformat(text))
    except ValueError:
        raise TriggerError(
            "exclude-dates", "exclude.dates must hold dates such as 2026-12-24.", "exclude.dates"
        ) from None


def _parse_weekday(text: str) -> int:
    name = text.upper()
    for number, weekday in enumerate(_WEEKDAYS):
        if name in (weekday, weekday[:3], weekday[:2]):
            return number
    raise TriggerError(
        "exclude-weekdays", "exclude.weekdays must hold days such as SA, SAT or SATURDAY.", "exclude.weekdays"
    )


@lru_cache(maxsize=512)
def _holiday_calendar(country: str | None, subdivision: str | None) -> HolidayCalendar | None:
    if country is None:
        if subdivision is not None:
            raise TriggerError("exclude-country", "exclude.holidays.subdivision needs a country.", "exclude.holidays")
        return None
    import holidays  # noqa: PLC0415 - 100 ms that only a schedule with holidays should cost

    for name in filter(None, (country, subdivision)):
        if not _REGION.fullmatch(name):
            raise _unknown_country()
    try:
        # a fixed language, or else the machine's own locale would name the days
        return holidays.country_holidays(country, subdiv=subdivision, language="en_US")
    except NotImplementedError:
        raise _unknown_country() from None


def _unknown_country() -> TriggerError:
    return TriggerError(
        "exclude-country",
        "exclude.holidays must name a country by its ISO 3166 code, such as DE, and a subdivision of it, such as BE.",
        "exclude.holidays",
    )


class Dates(Protocol):
    """How the numbers of a walker (local or UTC seconds) relate to local dates."""

    def day_of(self, key: int) -> int:
        """Return the local date, as a day number."""
        ...

    def local_of(self, key: int) -> int:
        """Return the local second."""
        ...

    def start_of(self, day: int) -> int:
        """Return the first number of a local date."""
        ...

    def moved(self, key: int, days: int) -> int:
        """Return the number of the same local time some days away."""
        ...


class WallDates:
    """Dates of local seconds."""

    def day_of(self, key: int) -> int:
        """Return the local date, as a day number."""
        return key // DAY

    def local_of(self, key: int) -> int:
        """Return the local second."""
        return key

    def start_of(self, day: int) -> int:
        """Return the first number of a local date."""
        return DAY * day

    def moved(self, key: int, days: int) -> int:
        """Return the number of the same local time some days away."""
        return key + DAY * days


class ZoneDates:
    """Dates of UTC seconds in a zone. A local time in a gap or fold is placed as RFC 5545 places it."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def day_of(self, key: int) -> int:
        """Return the local date, as a day number."""
        return (key + self._zone.offset_at(key)) // DAY

    def local_of(self, key: int) -> int:
        """Return the local second."""
        return key + self._zone.offset_at(key)

    def start_of(self, day: int) -> int:
        """Return the first number of a local date."""
        return self._zone.utc_of(DAY * day)

    def moved(self, key: int, days: int) -> int:
        """Return the number of the same local time some days away."""
        return self._zone.utc_of(key + self._zone.offset_at(key) + DAY * days)


class Excluding:
    """A walker's slots without those of excluded days, which are dropped or moved to a business day."""

    __slots__ = ("_dates", "_days", "_slots")

    def __init__(self, slots: Slots, days: ExcludedDays, dates: Dates) -> None:
        self._slots = slots
        self._days = days
        self._dates = dates

    def walk(self, low: int) -> Iterator[int]:
        """Yield each remaining slot that is not before `low`, ascending."""
        return (slot for slot, _ in self.with_origins(low))

    def with_origins(self, low: int) -> Iterator[tuple[int, int]]:
        """Yield (slot, the slot that the rule itself names) as `walk` does.

        Where several meet, the one that stays on its own day gives the name, else the earliest.
        """
        first = self._dates.day_of(low)
        if self._days.roll == "NEXT":
            earliest = first - FARTHEST_ROLL
            while first > earliest and not self._days.is_business_day(first - 1):
                first -= 1
        last = low - 1
        for landing, days in self._landings(self._dates.start_of(first)):
            days.sort(key=lambda day: day.number != landing)
            for slot, origin in heapq.merge(*(self._landed(day, landing, low) for day in days), key=itemgetter(0)):
                if slot > last:
                    yield slot, origin
                    last = slot

    def _landings(self, low: int) -> Iterator[tuple[int, list["_Day"]]]:
        """Yield each day on which something takes place, with the days whose slots take place there, ascending."""
        waiting: dict[int, list[_Day]] = {}
        excluded_days, last_kept = 0, self._dates.day_of(low)
        for day in self._days_with_slots(low):
            final = self._days.earliest_landing_from(day.number)
            for landing in sorted(landing for landing in waiting if landing < final):
                yield landing, waiting.pop(landing)
            there = self._days.landing(day.number)
            if there is not None:
                waiting.setdefault(there, []).append(day)
                excluded_days, last_kept = 0, day.number
                continue
            excluded_days += 1
            if excluded_days > _MOST_EXCLUDED_DAYS or day.number - last_kept > _LONGEST_EXCLUDED_RUN:
                break
        yield from sorted(waiting.items())

    def _days_with_slots(self, low: int) -> Iterator["_Day"]:
        source = self._slots.walk(low)
        slot = next(source, None)
        while slot is not None:
            day = self._dates.day_of(slot)
            end = self._dates.start_of(day + 1)
            slots = [slot]
            while (slot := next(source, None)) is not None and slot < end and len(slots) < _FEW_SLOTS:
                slots.append(slot)
            if slot is None or slot >= end:
                yield _Day(day, slots)
            else:
                yield _Day(day, None)
                source = self._slots.walk(end)
                slot = next(source, None)

    def _landed(self, day: "_Day", landing: int, low: int) -> Iterator[tuple[int, int]]:
        dates, away = self._dates, landing - day.number
        slots: Iterable[int]
        if day.slots is not None:
            slots = day.slots
        else:
            # clocks may differ by a jump between the two days; what comes too early is dropped by the caller
            earliest = dates.moved(low, -away) - _LONGEST_JUMP if away else low
            source = self._slots.walk(max(dates.start_of(day.number), earliest))
            slots = takewhile(dates.start_of(day.number + 1).__gt__, source)
        return ((dates.moved(slot, away), slot) for slot in slots) if away else ((slot, slot) for slot in slots)


class _Day(NamedTuple):
    """A day with slots: all of them where they are few, else None."""

    number: int
    slots: list[int] | None


class OnlyExcluded:
    """Exactly the slots that `Excluding` takes from their own day; for previews."""

    __slots__ = ("_dates", "_days", "_slots")

    def __init__(self, slots: Slots, days: ExcludedDays, dates: Dates) -> None:
        self._slots = slots
        self._days = days
        self._dates = dates

    def walk(self, low: int) -> Iterator[int]:
        """Yield each excluded slot that is not before `low`, ascending."""
        source = self._slots.walk(low)
        while (slot := next(source, None)) is not None:
            day = self._dates.day_of(slot)
            end = self._dates.start_of(day + 1)
            if self._days.reason(day) is not None:
                yield slot
                yield from takewhile(end.__gt__, source)
            source = self._slots.walk(end)
