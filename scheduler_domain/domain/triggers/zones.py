"""Time zones as stretches of constant offset, and which edition of the tz database they come from.

The database is the `tzdata` package that the installation pins, so that every process of a deployment agrees; only
where an operator points the interpreter elsewhere (PYTHONTZPATH) does that directory win.
"""

import difflib
import importlib.resources
import os
import sysconfig
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path

from scheduler_domain.domain.triggers import tzif
from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.local_time import utc_microsecond, wall_datetime
from scheduler_domain.domain.triggers.years import LAST_YEAR

BEGINNING_OF_TIME = -(1 << 60)
END_OF_TIME = 1 << 60

_NOT_PLACES = frozenset({"localtime", "posixrules", "Factory"})
_LONGEST_NAME = 64


class Zone:
    """A zone's stretches of constant offset: `offsets[i]` holds from UTC second `starts[i]` to `starts[i + 1]`.

    The first stretch begins at `BEGINNING_OF_TIME`; the last is followed by a sentinel start at `END_OF_TIME`.
    """

    __slots__ = ("name", "offsets", "starts")

    def __init__(self, name: str, compiled: tzif.CompiledZone) -> None:
        self.name = name
        self.starts = [BEGINNING_OF_TIME]
        self.offsets = [compiled.first_offset]
        for at, offset in zip(compiled.transitions, compiled.offsets, strict=True):
            self._change(at, offset)
        self._extend(compiled)
        self.starts.append(END_OF_TIME)

    def _extend(self, compiled: tzif.CompiledZone) -> None:
        if not compiled.footer:
            return
        rule = tzif.parse_footer(compiled.footer)
        last = compiled.transitions[-1] if compiled.transitions else BEGINNING_OF_TIME
        if isinstance(rule, int):
            self._change(last + 1 if compiled.transitions else BEGINNING_OF_TIME, rule)
            return
        first_year = 1970 + max(last, 0) // 31_556_952 - 1
        for year in range(first_year, LAST_YEAR + 1):
            for at, offset in rule.transitions(year):
                if at > last:
                    self._change(at, offset)

    def _change(self, at: int, offset: int) -> None:
        if at <= self.starts[-1]:
            self.offsets[-1] = offset
        elif offset != self.offsets[-1]:
            # a change of the abbreviation alone moves no clock
            self.starts.append(at)
            self.offsets.append(offset)

    def index(self, utc: int) -> int:
        """Return the number of the stretch that holds at a UTC second."""
        return bisect_right(self.starts, utc) - 1

    def offset_at(self, utc: int) -> int:
        """Return the offset, in seconds east, at a UTC second."""
        return self.offsets[bisect_right(self.starts, utc) - 1]

    def utc_of(self, local: int) -> int:
        """Return the instant of one local time as RFC 5545 §3.3.5 has it: the earlier in a fold, shifted in a gap."""
        return local - self.offsets[self._first_stretch(local)]

    def place(self, local: int, gap: str, fold: str) -> int:
        """Return the instant of one local time; `gap` is SHIFT or FIRST_VALID, `fold` is FIRST or SECOND."""
        at = self._first_stretch(local)
        if at + 1 < len(self.offsets):
            before, after, change = self.offsets[at], self.offsets[at + 1], self.starts[at + 1]
            if change + before <= local:
                return change if gap == "FIRST_VALID" else local - before
            if change + after <= local and fold == "SECOND":
                return local - after
        return local - self.offsets[at]

    def last_utc_of(self, local: int) -> int:
        """Return the last UTC second at which the wall shows a time not after `local`."""
        at = self._first_stretch(local)
        if at + 1 < len(self.offsets):
            before, after, change = self.offsets[at], self.offsets[at + 1], self.starts[at + 1]
            if change + before <= local:
                return change - 1
            if change + after <= local:
                return local - after
        return local - self.offsets[at]

    def gaps(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the local times (first, end) that no clock showed, of those that touch `low` to `high`."""
        for at in range(max(self.index(low - 86_400), 0) + 1, len(self.offsets)):
            before, after, change = self.offsets[at - 1], self.offsets[at], self.starts[at]
            if change + before > high:
                return
            if after > before and change + after > low:
                yield change + before, change + after

    def _first_stretch(self, local: int) -> int:
        """Return the stretch that holds for a local time, the one before the change where it is in a gap or fold."""
        # no offset exceeds a day, so the stretch a day earlier is never too late
        at = max(self.index(local - 86_400), 0)
        while at + 1 < len(self.offsets) and local >= self.starts[at + 1] + max(self.offsets[at], self.offsets[at + 1]):
            at += 1
        return at


@lru_cache(maxsize=1024)
def load_zone(name: str) -> Zone:
    """Return a zone by its name; TriggerError `unknown-zone` for anything that the tz database does not list."""
    if name not in zone_names():
        raise TriggerError("unknown-zone", _unknown_zone(name), "tz")
    return Zone(name, tzif.parse(_read(name)))


def wall_time(instant: datetime, tz: str) -> datetime:
    """Return what a zone's wall clock shows at an instant, naive, by the same tz database that decides when rules fire.

    >>> from datetime import UTC
    >>> wall_time(datetime(2026, 7, 1, 7, 0, tzinfo=UTC), "Europe/Berlin").isoformat()
    '2026-07-01T09:00:00'
    """
    second, microsecond = divmod(utc_microsecond(instant), 1_000_000)
    return wall_datetime(second + load_zone(tz).offset_at(second), microsecond)


def _unknown_zone(name: str) -> str:
    if len(name) > _LONGEST_NAME or not name.isascii():
        return "tz is not a zone of the tz database; use a name such as Europe/Berlin or UTC."
    near = difflib.get_close_matches(name, zone_names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else "; use a name such as Europe/Berlin or UTC."
    return f"tz {name!r} is not a zone of the tz database{hint}"


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return every accepted zone name: the tz database's own list, without its pseudo zones."""
    if _chosen_directories():
        return frozenset(zoneinfo.available_timezones()) - _NOT_PLACES
    return frozenset((_package() / "zones").read_text("ascii").split()) - _NOT_PLACES


@lru_cache(maxsize=1)
def tzdata_version() -> str:
    """Return the edition of the tz database in use, such as `2026a`."""
    for place in _places():
        listing = place.joinpath("tzdata.zi")
        if listing.is_file():
            with listing.open(encoding="ascii") as lines:
                return lines.readline().removeprefix("# version").strip()
    raise LookupError("the tz database has no tzdata.zi, which names its edition")


def _read(name: str) -> bytes:
    for place in _places():
        compiled = place.joinpath(*name.split("/"))
        if compiled.is_file():
            return compiled.read_bytes()
    raise TriggerError("unknown-zone", _unknown_zone(name), "tz")


def _places() -> list[Traversable]:
    return [*_chosen_directories(), _package() / "zoneinfo"]


def _package() -> Traversable:
    return importlib.resources.files("tzdata")


def _chosen_directories() -> tuple[Path, ...]:
    """Return the search path if an operator set one; the path compiled into the interpreter is not a choice."""
    compiled_in = tuple((sysconfig.get_config_var("TZPATH") or "").split(os.pathsep))
    if compiled_in == zoneinfo.TZPATH:
        return ()
    return tuple(Path(directory) for directory in zoneinfo.TZPATH)
