"""A whole recurrence set on a zone's wall clock: rules with their ends, added and removed dates, merged in order."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.exclusions import Dates, WallDates, ZoneDates
from scheduler_domain.domain.triggers.fixed_delay import ElapsedSteps
from scheduler_domain.domain.triggers.local_time import DAY, LAST_SECOND, parse_iso, utc_microsecond, wall_second
from scheduler_domain.domain.triggers.placement import Placement
from scheduler_domain.domain.triggers.rrule import UNIT_SECONDS, nth_slot, rule_slots, steps_elapsed_time
from scheduler_domain.domain.triggers.rrule_text import FIELD, Block, RuleParts, TimeText, parse_block, refused
from scheduler_domain.domain.triggers.slots import Limited, Listed, Slots
from scheduler_domain.domain.triggers.spec import Rrule
from scheduler_domain.domain.triggers.wall_clock import (
    BY_INSTANT,
    MOVED,
    MOVED_SECOND_PASS,
    SHIFTED,
    Due,
    Timeline,
)
from scheduler_domain.domain.triggers.years import LAST_YEAR, YEAR_START, day_of
from scheduler_domain.domain.triggers.zones import Zone, load_zone

_EARLIEST_COUNTED = DAY * day_of(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence set ready to walk; `counted` are its rules with COUNT, in the order in which they are written."""

    timeline: Timeline
    counted: tuple["Counted", ...]


class Anchor(NamedTuple):
    """Where a recurrence starts: the local second, and the UTC second where it was given as an instant."""

    local: int
    utc: int | None = None

    @classmethod
    def at(cls, utc: int, zone: Zone) -> "Anchor":
        return cls(utc + zone.offset_at(utc), utc)


def anchor_of(trigger: Rrule, zone: Zone, created_at: datetime) -> Anchor:
    """Return DTSTART, or the whole second of the creation where the trigger has none."""
    given = _given_anchor(trigger, zone)
    return Anchor.at(utc_microsecond(created_at) // 1_000_000, zone) if given is None else given


def _given_anchor(trigger: Rrule, zone: Zone) -> Anchor | None:
    block = parse_block(trigger.rrule)
    in_block = _block_anchor(block, zone)
    if trigger.dtstart is None:
        return in_block
    parsed, aware = parse_iso(trigger.dtstart, "trigger.dtstart")
    if parsed.microsecond:
        raise TriggerError("bad-time", "trigger.dtstart must be a whole second.", "trigger.dtstart")
    if aware:
        anchor = _checked(Anchor.at(utc_microsecond(parsed) // 1_000_000, zone), "trigger.dtstart")
    else:
        anchor = Anchor(wall_second(parsed))
    if in_block is not None and not _is_same(in_block, anchor):
        raise TriggerError("rrule-anchor", "trigger.dtstart and DTSTART differ; give one of them.", "trigger.dtstart")
    return anchor if in_block is None or anchor.utc is not None else in_block


def _is_same(one: Anchor, other: Anchor) -> bool:
    return one.local == other.local and (one.utc is None or other.utc is None or one.utc == other.utc)


def _block_anchor(block: Block, zone: Zone) -> Anchor | None:
    if block.anchor is None:
        return None
    if block.anchor.zone not in (None, "UTC", zone.name):
        raise refused("rrule-zone", f"has DTSTART in another zone than tz ({zone.name}); make the two the same")
    _refuse_after_the_calendar(block.anchor)
    is_instant = block.anchor.zone == "UTC" and block.anchor.clock is not None
    second = _second(block.anchor)
    return _checked(Anchor.at(second, zone) if is_instant else Anchor(second), FIELD)


def _checked(anchor: Anchor, field: str) -> Anchor:
    """Return an anchor that was an instant; TriggerError where its zone has it outside the calendar."""
    if not DAY * YEAR_START[1] <= anchor.local <= LAST_SECOND:
        raise TriggerError("out-of-calendar", f"{field} starts outside the years 1 to {LAST_YEAR} of its zone.", field)
    return anchor


def _refuse_after_the_calendar(time: TimeText) -> None:
    if int(time.date[:4]) > LAST_YEAR:
        raise refused(
            "out-of-calendar", f"has {time.date}, which lies after the year {LAST_YEAR}, the last one planned for"
        )


def recurrence(trigger: Rrule, start: Anchor, place: Placement) -> Recurrence:
    """Return the walker of a recurrence set."""
    block, anchor = parse_block(trigger.rrule), start.local
    removed = _Removed(block, place.zone)
    counted: list[Counted] = []
    timelines: list[Timeline] = []
    for rule in block.rules:
        if steps_elapsed_time(rule):
            steps = _Without(_elapsed(rule, start, place), removed, ZoneDates(place.zone))
            timelines.append(place.instants(steps if removed else steps.slots))
        else:
            slots, until = _limited(rule, anchor, place, counted)
            if until is not None and place.moves:
                slots = _NamedUntil(slots, until, place)
            without = _Without(slots, removed, WallDates())
            timeline = place.wall(without if removed else slots)
            timelines.append(timeline if until is None else _Until(timeline, until, has_moved=place.moves))
    for time in block.added:
        _refuse_after_the_calendar(time)
    if block.added:
        added = Listed([local_second(time, place.zone, anchor % DAY) for time in block.added])
        timelines.append(place.wall(_Without(added, removed, WallDates())))
    timeline = timelines[0] if len(timelines) == 1 else _Merged(tuple(timelines))
    return Recurrence(timeline, tuple(counted))


def _limited(rule: RuleParts, anchor: int, place: Placement, counted: "list[Counted]") -> tuple[Slots, int | None]:
    """Return a rule's slots up to its COUNT or local UNTIL, and the UTC second of an UNTIL with `Z`."""
    slots = rule_slots(rule, anchor)
    if next(slots.walk(anchor), None) is None:
        raise refused("never-fires", "names no time that a calendar has; check the days that its months have")
    if rule.count is not None:
        if anchor < _EARLIEST_COUNTED:
            raise refused("count-anchor", "has COUNT with a DTSTART before 1900; count from a later one, or use UNTIL")
        limited = Counted(slots, rule.count, anchor, place)
        counted.append(limited)
        return limited, None
    if rule.until is None:
        return slots, None
    if rule.until.zone == "UTC":
        return slots, _second(rule.until)
    return Limited(slots, _second(rule.until, DAY - 1)), None


def _elapsed(rule: RuleParts, start: Anchor, place: Placement) -> ElapsedSteps:
    """Return the real seconds of a sub-daily rule without BY parts; a local anchor is placed by the policies."""
    zone = place.zone
    first = place.anchor(start.local) if start.utc is None else start.utc
    step = rule.interval * UNIT_SECONDS[rule.frequency]
    last = LAST_SECOND
    if rule.count is not None:
        last = first + step * (rule.count - 1)
    elif rule.until is not None and rule.until.zone == "UTC":
        last = _second(rule.until)
    elif rule.until is not None:
        last = zone.last_utc_of(_second(rule.until, DAY - 1))
    return ElapsedSteps(first, step, last)


def _second(time: TimeText, default_clock: int = 0) -> int:
    """Return the digits of a time as seconds; a date alone takes the given time of the day."""
    digits = time.date
    try:
        day = day_of(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise refused("rrule-value", f"has a date that no calendar has ({digits})") from None
    if time.clock is None:
        return min(DAY * day + default_clock, LAST_SECOND)
    hour, minute, second = int(time.clock[:2]), int(time.clock[2:4]), int(time.clock[4:])
    if hour > 23 or minute > 59 or second > 60:
        raise refused("rrule-value", f"has a time that no day has ({time.clock})")
    return min(DAY * day + 3600 * hour + 60 * minute + min(second, 59), LAST_SECOND)


def local_second(time: TimeText, zone: Zone, default_clock: int = 0) -> int:
    """Return a time as a local second of the schedule's zone, whatever zone it was written in."""
    second = _second(time, default_clock)
    if time.zone is None or time.zone == zone.name or time.clock is None:
        return second
    utc = second if time.zone == "UTC" else _other_zone(time.zone).utc_of(second)
    return utc + zone.offset_at(utc)


def _other_zone(name: str) -> Zone:
    try:
        return load_zone(name)
    except TriggerError as error:
        raise TriggerError(error.code, f"TZID in trigger.rrule: {error.message}", FIELD) from None


class Counted:
    """The first `count` local times of a rule. Where they end is found once, by whole years where that is possible.

    A time that a SKIP policy leaves out because no clock shows it is not counted.
    """

    __slots__ = ("_anchor", "_count", "_last", "_place", "_slots")

    def __init__(self, slots: Slots, count: int, anchor: int, place: Placement) -> None:
        self._slots = slots
        self._count = count
        self._anchor = anchor
        self._place = place
        self._last: int | None = None

    @property
    def last(self) -> int:
        """The last counted local second."""
        if self._last is None:
            self._last = self._find_last()
        return self._last

    @last.setter
    def last(self, value: int) -> None:
        self._last = value

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        return takewhile(self.last.__ge__, self._slots.walk(low))

    def _find_last(self) -> int:
        count = self._count
        while True:
            last = nth_slot(self._slots, count)
            if last is None:
                return LAST_SECOND
            if not self._place.skips_gaps:
                return last
            needed = self._count + self._missing(last)
            if needed == count:
                return last
            count = needed

    def _missing(self, last: int) -> int:
        missing = 0
        for low, high in self._place.zone.gaps(self._anchor, last):
            missing += sum(1 for _ in takewhile(min(high, last + 1).__gt__, self._slots.walk(low)))
        return missing


class _Removed:
    """EXDATE: local seconds, and whole local dates where only a date is given."""

    def __init__(self, block: Block, zone: Zone) -> None:
        self._seconds = frozenset(local_second(time, zone) for time in block.removed if time.clock is not None)
        self._days = frozenset(local_second(time, zone) // DAY for time in block.removed if time.clock is None)

    def __bool__(self) -> bool:
        return bool(self._seconds or self._days)

    def __contains__(self, local: int) -> bool:
        return local in self._seconds or local // DAY in self._days


class _Without:
    """A walker's slots without the removed local times."""

    __slots__ = ("_dates", "_removed", "slots")

    def __init__(self, slots: Slots, removed: _Removed, dates: Dates) -> None:
        self.slots = slots
        self._removed = removed
        self._dates = dates

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        local_of = self._dates.local_of
        return (slot for slot in self.slots.walk(low) if local_of(slot) not in self._removed)


class _NamedUntil:
    """The local times that come up to and including one UTC second, on the day that the rule names."""

    __slots__ = ("_last", "_place", "_slots")

    def __init__(self, slots: Slots, last: int, place: Placement) -> None:
        self._slots = slots
        self._last = last
        self._place = place

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        # where clocks change, a local time may come before an earlier one
        zone, last = self._place.zone, self._last
        shown = last + max(zone.offset_at(last), zone.offset_at(last - DAY))
        return (slot for slot in takewhile(shown.__ge__, self._slots.walk(low)) if self._place.anchor(slot) <= last)


class _Until:
    """A timeline up to and including one UTC second; what has moved was judged before (`_NamedUntil`)."""

    __slots__ = ("_has_moved", "_last", "_timeline")

    def __init__(self, timeline: Timeline, last: int, *, has_moved: bool) -> None:
        self._timeline = timeline
        self._last = last
        self._has_moved = has_moved

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending."""
        dues = self._timeline.walk(low)
        if self._has_moved:
            return (due for due in dues if due[0] <= self._last or due[2] in (MOVED, MOVED_SECOND_PASS))
        return takewhile(lambda due: due[0] <= self._last, dues)


class _Merged:
    """Several timelines as one. Which of those that meet at an instant names it: see `_precedence`."""

    __slots__ = ("_timelines",)

    def __init__(self, timelines: tuple[Timeline, ...]) -> None:
        self._timelines = timelines

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending, no UTC second twice."""
        last = low - 1
        for due in heapq.merge(*(timeline.walk(low) for timeline in self._timelines), key=_precedence):
            if due[0] > last:
                last = due[0]
                yield due


_RANKS = {BY_INSTANT: 1, MOVED: 2, MOVED_SECOND_PASS: 2, SHIFTED: 3}


def _precedence(due: Due) -> tuple[int, int, int]:
    """Order by instant, then: named by a local time that truly exists, by instant, moved here, shifted here."""
    utc, nominal, kind = due
    return utc, _RANKS.get(kind, 0), nominal
