"""From local times to instants: what happens where a zone's clocks jump.

Inside a stretch of constant offset a local time is an instant by one subtraction. Where clocks jump forward some local
times do not exist (a gap), where they are set back some exist twice (a fold). This module cuts local time into pieces
that need one decision each, and walks the slots of a rule through them, so that instants come out ascending even where
a shifted slot overtakes the ones after it.

Sources: RFC 5545 §3.3.5 and PEP 495 (a gap is resolved with the offset before it), crontab(5) of Debian (FIRST_VALID).
"""

from collections import deque
from collections.abc import Generator, Iterator
from functools import lru_cache
from itertools import chain
from typing import Protocol

from scheduler_domain.domain.triggers.slots import Slots
from scheduler_domain.domain.triggers.zones import Zone

PLAIN, FIRST_PASS, SECOND_PASS, SHIFTED, BY_INSTANT, MOVED, MOVED_SECOND_PASS = range(7)
"""How an instant came about: `BY_INSTANT` ones are identified by their UTC second, all others by their local time.
`MOVED` ones take place on another day than the rule names."""


Due = tuple[int, int, int]
"""One instant as the walkers see it: UTC second, nominal local second (UTC second where BY_INSTANT), and its kind."""

_EXHAUSTED = 1 << 62
"""Stands for the slot after the last one; later than any local time."""

_Piece = tuple[int, int, int, int]
"""Local times from `low` to before `high`, the offset that maps them, and their kind."""


class Timeline(Protocol):
    """Instants in order."""

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending, no UTC second twice."""
        ...


class _Pieces(dict[int, tuple[_Piece, ...]]):
    """Local time cut into pieces, by the number of the zone's stretch that they lead into or lie in; made on demand.

    A gap comes before the stretch that it leads to, with the offset before it. A fold gives the end of one stretch
    (FIRST_PASS) and the beginning of the next (SECOND_PASS). Pieces that a policy drops are left out.
    """

    def __init__(self, zone: Zone, gap: str, fold: str) -> None:
        super().__init__()
        self._zone = zone
        self._gap = gap
        self._fold = fold

    def __missing__(self, at: int) -> tuple[_Piece, ...]:
        pieces = self[at] = tuple(self._cut(at))
        return pieces

    def _cut(self, at: int) -> Iterator[_Piece]:
        starts, offsets = self._zone.starts, self._zone.offsets
        start, end, offset = starts[at], starts[at + 1], offsets[at]
        before = offsets[at - 1] if at else offset
        after = offsets[at + 1] if at + 1 < len(offsets) else offset
        low, high = start + offset, end + offset
        if before < offset and self._gap != "SKIP":
            yield (start + before, low, before, SHIFTED)
        elif before > offset:
            second_pass_end = min(start + before, high)
            if self._fold != "FIRST":
                yield (low, second_pass_end, offset, SECOND_PASS)
            low = second_pass_end
        fold_start = max(end + after, low) if after < offset else high
        yield (low, fold_start, offset, PLAIN)
        if fold_start < high and self._fold != "SECOND":
            yield (fold_start, high, offset, FIRST_PASS)


@lru_cache(maxsize=8192)
def _pieces_of(zone: Zone, gap: str, fold: str) -> _Pieces:
    return _Pieces(zone, gap, fold)


class WallClock:
    """The instants at which a zone's wall clock shows the slots of a rule, under one gap and one fold policy."""

    __slots__ = ("_gap", "_pieces", "slots", "zone")

    def __init__(self, slots: Slots, zone: Zone, gap: str, fold: str) -> None:
        self.slots = slots
        self.zone = zone
        self._gap = gap
        self._pieces = _pieces_of(zone, gap, fold)

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending, no UTC second twice."""
        shifted: deque[Due] = deque()
        source: Iterator[int] = iter(())
        slot = -_EXHAUSTED
        repeats = True
        stretches = map(self._pieces.__getitem__, range(self.zone.index(low), len(self.zone.offsets)))
        for piece_low, piece_high, offset, kind in chain.from_iterable(stretches):
            floor = max(piece_low, low + offset)
            if floor >= piece_high:
                continue
            if slot < floor or (kind == SECOND_PASS and repeats):
                # skipped local times lie between, or the same ones come round again
                source = self.slots.walk(floor)
                slot = next(source, _EXHAUSTED)
            if kind == SHIFTED:
                if self._gap == "SHIFT":
                    slot = _shift(slot, source, piece_high, offset, shifted)
                elif floor == piece_low and slot < piece_high:
                    shifted.append((piece_low - offset, slot, SHIFTED))
                continue
            found = slot < piece_high
            if shifted:
                slot = yield from _overtaken(shifted, slot, source, (piece_low, piece_high, offset, kind))
            if slot < piece_high:
                yield (slot - offset, slot, kind)
                for slot in source:  # the slot that leaves the piece begins the next one
                    if slot >= piece_high:
                        break
                    yield (slot - offset, slot, kind)
                else:
                    slot = _EXHAUSTED
            repeats = kind == FIRST_PASS and (found or floor > piece_low)
            if slot == _EXHAUSTED and kind == PLAIN and not shifted:
                return


def _shift(slot: int, source: Iterator[int], gap_end: int, offset: int, shifted: deque[Due]) -> int:
    """Collect the slots inside a gap, mapped with the offset before it; return the first slot after them."""
    while slot < gap_end:
        shifted.append((slot - offset, slot, SHIFTED))
        slot = next(source, _EXHAUSTED)
    return slot


def _overtaken(shifted: deque[Due], slot: int, source: Iterator[int], piece: _Piece) -> Generator[Due, None, int]:
    """Yield shifted instants and the slots of a piece in order, until either ends; return the first slot not taken.

    Where a shifted time meets one that truly exists, the latter gives the instant its name.
    """
    _, high, offset, kind = piece
    while shifted:
        utc = min(slot, high) - offset
        if shifted[0][0] < utc:
            yield shifted.popleft()
        elif slot >= high:
            break
        else:
            if shifted[0][0] == utc:
                shifted.popleft()
            yield (utc, slot, kind)
            slot = next(source, _EXHAUSTED)
    return slot


class ByInstant:
    """UTC seconds as instants: what counts elapsed time is identified by its instant, not by a wall clock."""

    __slots__ = ("slots",)

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def walk(self, low: int) -> Iterator[Due]:
        """Yield each instant that is not before the UTC second `low`, ascending."""
        return ((utc, utc, BY_INSTANT) for utc in self.slots.walk(low))
