"""Where the slots of a rule take place: in which zone, under which policies, and around which excluded days."""

from collections.abc import Iterator

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.exclusions import (
    Dates,
    ExcludedDays,
    Excluding,
    OnlyExcluded,
    WallDates,
    ZoneDates,
)
from scheduler_domain.domain.triggers.slots import Slots
from scheduler_domain.domain.triggers.spec import DstPolicy
from scheduler_domain.domain.triggers.wall_clock import (
    MOVED,
    MOVED_SECOND_PASS,
    SECOND_PASS,
    ByInstant,
    Due,
    Timeline,
    WallClock,
)
from scheduler_domain.domain.triggers.zones import Zone


class Placement:
    """Turns walkers of slots into timelines of instants, all in the same way.

    With `only_excluded` the timelines hold exactly what the exclusions take away, for a preview to strike out.
    """

    __slots__ = ("_excluded", "_only_excluded", "dst", "zone")

    def __init__(
        self, zone: Zone, dst: DstPolicy, excluded: ExcludedDays | None = None, *, only_excluded: bool = False
    ) -> None:
        self.zone = zone
        self.dst = dst
        self._excluded = excluded
        self._only_excluded = only_excluded

    @property
    def skips_gaps(self) -> bool:
        """Tell whether a local time that does not exist is left out."""
        return self.dst.gap == "SKIP"

    @property
    def moves(self) -> bool:
        """Tell whether an occurrence on an excluded day takes place on another one."""
        return self._excluded is not None and self._excluded.roll != "SKIP"

    def wall(self, slots: Slots) -> Timeline:
        """Place local times on the zone's wall clock, each named wall-clock slot once a date."""
        return self._on_wall(slots, self.dst.gap, self.dst.fold)

    def every_showing(self, slots: Slots) -> Timeline:
        """Place local times at every real instant at which the clock shows them; the policies do not apply."""
        return self._on_wall(slots, "SKIP", "BOTH")

    def instants(self, slots: Slots) -> Timeline:
        """Place UTC seconds, which need no clock."""
        return ByInstant(self._without_excluded(slots, ZoneDates(self.zone)))

    def anchor(self, local: int) -> int:
        """Return the one instant that a local starting time stands for; an anchor can not be skipped."""
        fold = "SECOND" if self.dst.fold == "SECOND" else "FIRST"
        gap = "FIRST_VALID" if self.dst.gap == "FIRST_VALID" else "SHIFT"
        return self.zone.place(local, gap, fold)

    def _on_wall(self, slots: Slots, gap: str, fold: str) -> Timeline:
        kept = self._without_excluded(slots, WallDates())
        if isinstance(kept, Excluding) and self.moves:
            return _NamedByOrigin(kept, self.zone, DstPolicy(gap, fold))
        return WallClock(kept, self.zone, gap, fold)

    def _without_excluded(self, slots: Slots, dates: Dates) -> Slots:
        if self._excluded is None:
            return slots
        return (OnlyExcluded if self._only_excluded else Excluding)(slots, self._excluded, dates)


def check_dst(dst: DstPolicy) -> None:
    """Raise TriggerError unless both policies are known."""
    if dst.gap not in ("SHIFT", "FIRST_VALID", "SKIP"):
        raise TriggerError("dst-gap", "dst.gap must be SHIFT (the default), FIRST_VALID or SKIP.", "dst.gap")
    if dst.fold not in ("FIRST", "SECOND", "BOTH"):
        raise TriggerError("dst-fold", "dst.fold must be FIRST (the default), SECOND or BOTH.", "dst.fold")


class _NamedByOrigin:
    """A timeline in which a moved occurrence keeps the identity of the local time that the rule names.

    So lifting a holiday after its occurrence took place elsewhere makes no second one.
    """

    __slots__ = ("_dst", "_excluding", "_zone")

    def __init__(self, excluding: Excluding, zone: Zone, dst: DstPolicy) -> None:
        self._excluding = excluding
        self._zone = zone
        self._dst = dst

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending, no UTC second twice."""
        noting = _NotingOrigins(self._excluding)
        for due in WallClock(noting, self._zone, self._dst.gap, self._dst.fold).walk(low):
            utc, slot, kind = due
            origin = noting.origins.get(slot)
            if origin is None:
                yield due
            else:
                yield utc, origin, MOVED_SECOND_PASS if kind == SECOND_PASS else MOVED


class _NotingOrigins:
    """The slots of one walk, and where those that moved come from."""

    __slots__ = ("_excluding", "origins")

    def __init__(self, excluding: Excluding) -> None:
        self._excluding = excluding
        self.origins: dict[int, int] = {}

    def walk(self, low: int) -> Iterator[int]:
        """Yield each slot that is not before `low`, ascending."""
        for slot, origin in self._excluding.with_origins(low):
            if origin != slot:
                self.origins[slot] = origin
            yield slot
