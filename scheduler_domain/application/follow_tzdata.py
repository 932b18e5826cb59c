"""Follow the tz database: bring plans that were made with another edition in line with the one in use.

A release with a newer edition finds cursors and queued occurrences that the older one computed. A walk over all
cursors, a bounded batch a step, recomputes each by name (domain/zone_move.py). The planner has those it is about to
plan followed first, so that only what moved to an earlier instant depends on the walk. The walk keeps its place in
memory only: what was followed says so itself, and whoever begins again passes it by.

While releases are being replaced, editions run side by side. The newest one that is alive leads: it alone plans and
follows, since the older one would move everything back.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.zone_moves import CursorKey, HeldCursors, ZoneMoves
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.triggers import TriggerError, tzdata_version
from scheduler_domain.domain.zone_move import Candidate, PlannedAhead, ZoneMove, candidates, left_alone, marked, moved

HELD_AT_ONCE: Final = 200
PAUSES: Final = (60.0,) * 10 + (3_600.0,)
"""Seconds from the end of each walk to the next, the last for ever: an API of an older release, which lives on for a
while beside a newer one, may have stored schedules meanwhile."""
_LONGEST_SLICE_SECONDS: Final = 0.002


class Followed(Struct, frozen=True):
    """What a step came to: cursors brought up to date, changes found, and whether the walk goes on."""

    version: str
    cursor_count: int = 0
    change_count: int = 0
    goes_on: bool = False


class FollowTzdata:
    """Follows for one process, whose edition is fixed as long as it runs."""

    def __init__(self, moves: ZoneMoves, clock: Clock, tags: StartTags) -> None:
        self._moves = moves
        self._clock = clock
        self._tags = tags
        self._version = tzdata_version()
        self._leading = self._version
        self._after: CursorKey | None = None
        self._walk_at = 0.0
        self._walk_count = 0

    @property
    def version(self) -> str:
        return self._version

    @property
    def is_overtaken(self) -> bool:
        """True while a dispatcher with a newer edition is alive: this one is to plan nothing."""
        return self._leading != self._version

    async def step(self) -> Followed:
        """Say that this edition is alive and, if it leads, follow one batch of the walk."""
        self._leading = await self._moves.leading(self._version)
        if self.is_overtaken or self._clock.monotonic() < self._walk_at:
            return Followed(self._version)
        visit = await self._moves.visit(self._after, self._version)
        followed = await self._followed(visit.of_other_edition)
        self._after = visit.reached
        if visit.reached is None:
            self._walk_at = self._clock.monotonic() + PAUSES[min(self._walk_count, len(PAUSES) - 1)]
            self._walk_count += 1
        return replace(followed, goes_on=visit.reached is not None)

    async def follow(self, keys: Sequence[CursorKey]) -> int:
        """Bring these cursors up to date, but for those that somebody else has; return how many."""
        return (await self._followed(keys)).cursor_count

    async def _followed(self, keys: Sequence[CursorKey]) -> Followed:
        cursor_count = change_count = 0
        ordered = sorted(keys)
        for start in range(0, len(ordered), HELD_AT_ONCE):
            async with self._moves.held(ordered[start : start + HELD_AT_ONCE], self._version) as held:
                moves = await self._decided(held)
                await held.record(self._version, moves)
            cursor_count += len(moves)
            change_count += sum(len(move.changes) for move in moves)
        return Followed(self._version, cursor_count, change_count)

    async def _decided(self, held: HeldCursors) -> list[ZoneMove]:
        moves: list[ZoneMove] = []
        affected: list[tuple[PlannedAhead, list[Candidate]]] = []
        now = self._clock.now()
        slices = _Slices(self._clock)
        for ahead in held.ahead:
            try:
                move = left_alone(ahead, now)
                if move is None:
                    affected.append((ahead, candidates(ahead, now)))
                else:
                    moves.append(move)
            except TriggerError:
                moves.append(marked(ahead.cursor))  # the planner sets it aside, with the reason, when it comes to it
            await slices.cut()
        if not affected:
            return moves
        taken = await held.taken([(_key(ahead), item) for ahead, near in affected for item in near])
        for ahead, near in affected:
            moves.append(moved(ahead, near, taken, now, self._tags))
            await slices.cut()
        return moves


class _Slices:
    """Cuts long work: following shares the loop with firing, which promises milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()

    async def cut(self) -> None:
        if self._clock.monotonic() - self._began > _LONGEST_SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = self._clock.monotonic()


def _key(ahead: PlannedAhead) -> CursorKey:
    return CursorKey(ahead.cursor.tenant_id, ahead.cursor.schedule_id)
