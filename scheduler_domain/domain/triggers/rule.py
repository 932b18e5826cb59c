"""The public face of the engine: compile a schedule's rule once, then ask it for pages of instants."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import NamedTuple, assert_never

from scheduler_domain.domain.triggers.cron import parse_cron
from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.exclusions import ExcludedDays
from scheduler_domain.domain.triggers.fixed_delay import ElapsedSteps, check_fixed_delay
from scheduler_domain.domain.triggers.local_time import (
    DAY,
    FIRST_SECOND,
    LAST_SECOND,
    utc_datetime,
    utc_microsecond,
    wall_datetime,
)
from scheduler_domain.domain.triggers.one_shot import parse_one_shot
from scheduler_domain.domain.triggers.placement import Placement, check_dst
from scheduler_domain.domain.triggers.recurrence import Anchor, Counted, anchor_of, recurrence
from scheduler_domain.domain.triggers.slots import Listed
from scheduler_domain.domain.triggers.spec import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    OneShot,
    Rrule,
    RuleSpec,
    Trigger,
)
from scheduler_domain.domain.triggers.wall_clock import (
    BY_INSTANT,
    FIRST_PASS,
    MOVED,
    MOVED_SECOND_PASS,
    PLAIN,
    SECOND_PASS,
    SHIFTED,
    Due,
    Timeline,
)
from scheduler_domain.domain.triggers.zones import Zone, load_zone


class Instant(NamedTuple):
    """One due instant.

    `nominal` identifies the occurrence within its schedule: the local wall time that the rule names (with `/1` for the
    second pass of a fold), or the UTC instant of a rule that counts elapsed time. `order_ms` is the same as a number,
    in Unix milliseconds, the wall time read as if it were UTC (plus one for the second pass). `dst` says what the gap
    and fold policies met: SHIFTED, REPEATED (the local time exists twice), or None.
    """

    at: datetime
    local: datetime
    nominal: str
    order_ms: int
    dst: str | None = None
    excluded: str | None = None


class Page(NamedTuple):
    """Instants in order; `following`, the first that is not on the page; `checkpoint` resumes a COUNT rule in O(1)."""

    instants: list[Instant]
    checkpoint: str | None
    following: Instant | None

    @property
    def finished(self) -> bool:
        """Tell whether the rule has no instant after the page."""
        return self.following is None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What rules with the same text, zone and policies share."""

    timeline: Timeline
    zone: Zone
    by_instant: bool = False
    microsecond: int = 0
    counted: tuple[Counted, ...] = ()
    fingerprint: str = ""


from_timestamp = datetime.fromtimestamp
"""Bound once: the lookups would be a tenth of the fast path."""

_DST_MARKS = {FIRST_PASS: "REPEATED", SECOND_PASS: "REPEATED", SHIFTED: "SHIFTED"}
_SECOND_PASSES = (SECOND_PASS, MOVED_SECOND_PASS)


class Rule:
    """A compiled rule. Immutable in effect; safe to share and to keep."""

    __slots__ = ("_compiled", "_first", "_last", "spec")

    def __init__(self, spec: RuleSpec, compiled: _Compiled) -> None:
        self.spec = spec
        self._compiled = compiled
        # whole seconds of the compiled rule that lie within the window, both ends included
        self._first = FIRST_SECOND if spec.start_at is None else self._ceiling(spec.start_at)
        self._last = LAST_SECOND if spec.end_at is None else self._floor(spec.end_at)

    @property
    def is_completion_anchored(self) -> bool:
        """Tell whether each instant follows from the end of the previous occurrence; pages are then a projection."""
        trigger = self.spec.trigger
        return isinstance(trigger, FixedDelay) and trigger.anchor == "COMPLETION"

    def page(
        self,
        after: datetime,
        limit: int,
        until: datetime | None = None,
        checkpoint: str | None = None,
        include_excluded: bool = False,
    ) -> Page:
        """Return at most `limit` instants strictly after `after` and not after `until`, ascending.

        With `include_excluded` the excluded ones stand between them, up to `limit` of their own, with their reason.
        """
        compiled = self._compiled
        if checkpoint is not None:
            _resume(compiled, checkpoint)
        low = max(self._floor(after) + 1, self._first)
        last = self._last if until is None else min(self._last, self._floor(until))
        found: list[Due] = []
        following: Instant | None = None
        for due in self._walk(compiled.timeline, low):
            if due[0] > last or len(found) == limit:
                following = self._instant(due) if due[0] <= self._last else None
                break
            found.append(due)
        instants = [self._instant(due) for due in found]
        if include_excluded and self.spec.exclude is not None:
            end = last if following is None or until is not None else found[-1][0] if found else low
            instants = list(merge(instants, self._struck_out(low, end, limit)))
        return Page(instants, _checkpoint(compiled), following)

    def instants(self, after: datetime, count: int) -> list[datetime]:
        """Return the next `count` instants strictly after `after`, or fewer where the rule ends: the fast path."""
        microsecond = self._compiled.microsecond
        dues = self._walk(self._compiled.timeline, max(self._floor(after) + 1, self._first))
        last = self._last
        if microsecond:
            return [utc_datetime(due[0], microsecond) for due in islice(dues, count) if due[0] <= last]
        return [from_timestamp(due[0], UTC) for due in islice(dues, count) if due[0] <= last]

    def first(self, now: datetime) -> Instant:
        """Return the first occurrence not before `now`; TriggerError `never-fires` or `one-shot-past` without one.

        A past one-shot with `ifPast: RUN_NOW` answers with its own, past instant: it is due at once.
        """
        trigger = self.spec.trigger
        low = max(self._ceiling(now), self._first)
        due = next(self._walk(self._compiled.timeline, low), None)
        if due is None and isinstance(trigger, OneShot):
            due = self._past_one_shot(trigger)
        if due is None or due[0] > self._last:
            raise TriggerError(
                "never-fires",
                "The trigger has no occurrence from now on within its window (startAt, endAt, UNTIL, COUNT, exclusions)"
                " and the next 50 years; widen one of them.",
                "trigger",
            )
        return self._instant(due)

    def continued_from(self, ended_at: datetime) -> "Rule":
        """Return a completion-anchored rule as it goes on after an occurrence that ended at `ended_at`."""
        trigger = self.spec.trigger
        if not isinstance(trigger, FixedDelay) or trigger.anchor != "COMPLETION":
            return self
        next_at = utc_microsecond(ended_at) + 1_000_000 * trigger.delay_sec
        if self.spec.start_at is not None:
            next_at = max(next_at, utc_microsecond(self.spec.start_at))
        return Rule(self.spec, _steps(trigger, next_at, self._compiled.zone, self.spec))

    def _walk(self, timeline: Timeline, low: int) -> Iterator[Due]:
        return timeline.walk(low) if low <= LAST_SECOND else iter(())

    def _past_one_shot(self, trigger: OneShot) -> Due | None:
        past = next(self._walk(self._compiled.timeline, self._first), None)
        if past is not None and trigger.if_past is None:
            raise TriggerError(
                "one-shot-past",
                "The occurrence that trigger.startAt names lies in the past; choose a later one, or send ifPast: "
                "RUN_NOW.",
                "trigger.startAt",
            )
        return past

    def _struck_out(self, low: int, end: int, limit: int) -> Iterator[Instant]:
        spec = self.spec
        if spec.exclude is None:
            return
        days = ExcludedDays(spec.exclude)
        compiled = _compile(spec, only_excluded=True)
        for due in islice(self._walk(compiled.timeline, low), limit):
            if due[0] > end:
                return
            instant = self._instant(due)
            nominal = due[0] + compiled.zone.offset_at(due[0]) if due[2] == BY_INSTANT else due[1]
            yield instant._replace(excluded=days.reason(nominal // DAY))

    def _instant(self, due: Due) -> Instant:
        utc, nominal, kind = due
        compiled = self._compiled
        microsecond = compiled.microsecond
        at = utc_datetime(utc, microsecond)
        if compiled.by_instant or kind == BY_INSTANT:
            local = wall_datetime(utc + compiled.zone.offset_at(utc), microsecond)
            return Instant(at, local, at.isoformat()[:-6] + "Z", 1000 * utc + microsecond // 1000)
        named = wall_datetime(nominal, microsecond)
        second_pass = kind in _SECOND_PASSES
        shown = named
        if kind in (SHIFTED, MOVED, MOVED_SECOND_PASS):
            shown = wall_datetime(utc + compiled.zone.offset_at(utc), microsecond)
        return Instant(
            at,
            shown,
            named.isoformat() + ("/1" if second_pass else ""),
            1000 * nominal + microsecond // 1000 + second_pass,
            None if kind == PLAIN else _DST_MARKS.get(kind),
        )

    def _floor(self, instant: datetime) -> int:
        return (utc_microsecond(instant) - self._compiled.microsecond) // 1_000_000

    def _ceiling(self, instant: datetime) -> int:
        return -((self._compiled.microsecond - utc_microsecond(instant)) // 1_000_000)


def compile_rule(spec: RuleSpec) -> Rule:
    """Return the rule of a schedule, or raise TriggerError: on any input within 50 ms.

    The parts that depend on text, zone and policies alone are cached; a rule that could never fire is refused here.
    """
    check_dst(spec.dst)
    for name, instant in (("startAt", spec.start_at), ("endAt", spec.end_at), ("createdAt", spec.created_at)):
        if instant is not None and instant.tzinfo is None:
            raise TriggerError("bad-time", f"{name} must be an instant, with Z or an offset.", name)
    if spec.start_at is not None and spec.end_at is not None and spec.end_at < spec.start_at:
        raise TriggerError("window-empty", "endAt lies before startAt.", "endAt")
    return Rule(spec, _compile(spec))


def _compile(spec: RuleSpec, *, only_excluded: bool = False) -> _Compiled:
    trigger = spec.trigger
    match trigger:
        case FixedDelay():
            check_fixed_delay(trigger)
            first = utc_microsecond(spec.start_at or spec.created_at)
            if spec.start_at is None:
                first += 1_000_000 * trigger.delay_sec
            return _steps(trigger, first, load_zone(spec.tz), spec, only_excluded=only_excluded)
        case Rrule():
            zone = load_zone(spec.tz)
            anchor = anchor_of(trigger, zone, spec.created_at)
            return _compile_shared(trigger, spec.tz, spec.dst, spec.exclude, anchor, only_excluded=only_excluded)
        case Cron() | OneShot():
            return _compile_shared(trigger, spec.tz, spec.dst, spec.exclude, None, only_excluded=only_excluded)
        case _:
            assert_never(trigger)


def _steps(trigger: FixedDelay, first: int, zone: Zone, spec: RuleSpec, *, only_excluded: bool = False) -> _Compiled:
    second, microsecond = divmod(first, 1_000_000)
    place = _placement(zone, spec.dst, spec.exclude, only_excluded)
    return _Compiled(place.instants(ElapsedSteps(second, trigger.delay_sec)), zone, microsecond=microsecond)


def _placement(zone: Zone, dst: DstPolicy, exclude: Exclusions | None, only_excluded: bool) -> Placement:
    excluded = None if exclude is None else ExcludedDays(exclude)
    return Placement(zone, dst, excluded, only_excluded=only_excluded)


@lru_cache(maxsize=8192)
def _compile_shared(
    trigger: Trigger, tz: str, dst: DstPolicy, exclude: Exclusions | None, anchor: Anchor | None, *, only_excluded: bool
) -> _Compiled:
    zone = load_zone(tz)
    place = _placement(zone, dst, exclude, only_excluded)
    if isinstance(trigger, Cron):
        expression = parse_cron(trigger.cron)
        slots = expression.slots()
        if expression.is_interval:
            return _Compiled(place.every_showing(slots), zone, by_instant=True)
        return _Compiled(place.wall(slots), zone)
    if isinstance(trigger, OneShot):
        once = parse_one_shot(trigger)
        listed = Listed([once.second])
        single = DstPolicy(dst.gap, "FIRST" if dst.fold == "BOTH" else dst.fold)
        place = _placement(zone, single, exclude, only_excluded)
        timeline = place.instants(listed) if once.is_instant else place.wall(listed)
        return _Compiled(timeline, zone, microsecond=once.microsecond)
    if not isinstance(trigger, Rrule) or anchor is None:
        raise TypeError("a recurrence needs its anchor")
    return _compile_recurrence(trigger, anchor, place)


def _compile_recurrence(trigger: Rrule, anchor: Anchor, place: Placement) -> _Compiled:
    found = recurrence(trigger, anchor, place)
    fingerprint = ""
    if found.counted:
        fingerprint = f"{zlib.crc32(repr((trigger, anchor.local, place.zone.name, place.dst.gap)).encode()):08x}"
    return _Compiled(found.timeline, place.zone, counted=found.counted, fingerprint=fingerprint)


def _checkpoint(compiled: _Compiled) -> str | None:
    """Return where the COUNT of each rule ends, so that another process need not count again."""
    if not compiled.counted:
        return None
    return f"{compiled.fingerprint}:{','.join(str(counted.last) for counted in compiled.counted)}"


def _resume(compiled: _Compiled, checkpoint: str) -> None:
    """Take over the ends of a checkpoint made from the same rule; one made from another rule is worth nothing."""
    fingerprint, _, ends = checkpoint.partition(":")
    if compiled.counted and fingerprint == compiled.fingerprint:
        for counted, end in zip(compiled.counted, ends.split(","), strict=True):
            counted.last = int(end)
