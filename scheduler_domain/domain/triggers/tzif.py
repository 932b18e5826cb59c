"""Reading a compiled time zone (RFC 9636): its transitions, and the rule that holds after the last of them.

The standard library answers "which offset holds at this instant" but keeps the transitions to itself. A walker that
maps thousands of local times needs them: inside a stretch of constant offset, a mapping is one subtraction.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_HEADER = struct.Struct(">4sc15x6l")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class CompiledZone:
    """The UTC second of each transition, the offset (seconds east) in force from it, and the POSIX rule at the end."""

    first_offset: int
    transitions: tuple[int, ...]
    offsets: tuple[int, ...]
    footer: str


def parse(data: bytes) -> CompiledZone:
    """Read the 64-bit part of a TZif file of version 2 or later; ValueError where it is not one."""
    magic, version, *counts = _HEADER.unpack_from(data)
    if magic != b"TZif" or version < b"2":
        raise ValueError("not a TZif file of version 2 or later")
    body = _HEADER.size + _block_size(counts, time_size=4)
    _, _, *counts = _HEADER.unpack_from(data, body)
    _, _, _, time_count, type_count, _ = counts
    at = body + _HEADER.size
    transitions = struct.unpack_from(f">{time_count}q", data, at)
    kinds = data[at + 8 * time_count : at + 9 * time_count]
    types = at + 9 * time_count
    type_offsets = [struct.unpack_from(">l", data, types + 6 * index)[0] for index in range(type_count)]
    footer = data[body + _HEADER.size + _block_size(counts, time_size=8) :].strip(b"\n").decode("ascii")
    return CompiledZone(type_offsets[0], transitions, tuple(type_offsets[kind] for kind in kinds), footer)


def _block_size(counts: list[int], time_size: int) -> int:
    utc_flags, standard_flags, leap_seconds, times, types, names = counts
    return times * (time_size + 1) + types * 6 + names + leap_seconds * (time_size + 4) + standard_flags + utc_flags


_FOOTER = re.compile(
    r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)(?P<standard>[+-]?[\d:]+)"
    r"(?:(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)(?P<daylight>[+-]?[\d:]+)?,(?P<begin>[^,]+),(?P<end>[^,]+))?"
)


@dataclass(frozen=True, slots=True)
class YearlyRule:
    """Two changes a year, for ever (POSIX.1 TZ, as extended by RFC 9636 §3.3.2)."""

    standard: int
    daylight: int
    begin: str
    end: str

    def transitions(self, year: int) -> Iterator[tuple[int, int]]:
        """Yield (UTC second, offset from then on) of one year, ascending."""
        changes = [
            (_wall_second(self.begin, year) - self.standard, self.daylight),
            (_wall_second(self.end, year) - self.daylight, self.standard),
        ]
        return iter(sorted(changes))


def parse_footer(footer: str) -> YearlyRule | int:
    """Return the yearly rule, or the constant offset of a zone that no longer changes its clocks."""
    match = _FOOTER.fullmatch(footer)
    if match is None:
        raise ValueError(f"not a POSIX TZ rule: {footer!r}")
    # POSIX counts hours west of Greenwich, everybody else east.
    standard = -_seconds(match["standard"])
    if match["begin"] is None:
        return standard
    daylight = -_seconds(match["daylight"]) if match["daylight"] else standard + 3600
    return YearlyRule(standard, daylight, match["begin"], match["end"])


def _seconds(clock: str) -> int:
    sign = -1 if clock.startswith("-") else 1
    parts = [int(part) for part in clock.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _wall_second(rule: str, year: int) -> int:
    """Return the local second (since 1970, on the clock in force before the change) that one half of a rule names."""
    day_rule, _, clock = rule.partition("/")
    january_first = date(year, 1, 1).toordinal() - _EPOCH_ORDINAL
    if day_rule.startswith("M"):
        month, week, weekday = (int(part) for part in day_rule[1:].split("."))
        day = _nth_weekday(year, month, week, weekday)
    elif day_rule.startswith("J"):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        number = int(day_rule[1:])
        day = january_first + number - 1 + (leap and number >= 60)
    else:
        day = january_first + int(day_rule)
    return day * _DAY + (_seconds(clock) if clock else 2 * 3600)


def _nth_weekday(year: int, month: int, week: int, weekday: int) -> int:
    """Return the day (since 1970) of the n-th weekday (0 is Sunday) of a month; week 5 is the last one."""
    first = date(year, month, 1)
    day = first.toordinal() + (weekday - first.isoweekday()) % 7 + 7 * (week - 1)
    if date.fromordinal(day).month != month:
        day -= 7
    return day - _EPOCH_ORDINAL
