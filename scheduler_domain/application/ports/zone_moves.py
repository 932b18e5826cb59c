"""The store as the follower of the tz database sees it: cursors by the edition that they were computed with."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.zone_move import Candidate, PlannedAhead, ZoneMove


class CursorKey(NamedTuple):
    tenant_id: str
    schedule_id: UUID


class Visit(Struct, frozen=True):
    """The cursors `of_other_edition` among those after a key, and how far was looked: None where there are no more."""

    of_other_edition: Sequence[CursorKey]
    reached: CursorKey | None


class HeldCursors(Protocol):
    """Cursors, and what they have in the queue, that nobody else can change until the holder is done."""

    @property
    def ahead(self) -> Sequence[PlannedAhead]: ...

    async def taken(self, candidates: Sequence[tuple[CursorKey, Candidate]]) -> set[UUID]:
        """Return which of these occurrences exist already, queued or ended."""

    async def record(self, version: str, moves: Sequence[ZoneMove]) -> None:
        """Store cursors, moved and unplanned occurrences and the list of changes, all or nothing with the hold."""


class ZoneMoves(Protocol):
    async def leading(self, version: str) -> str:
        """Say that `version` is alive; return the newest edition that is, or `version` where no newer one is."""

    async def visit(self, after: CursorKey | None, version: str) -> Visit:
        """Look at a bounded number of cursors after a key, in key order."""

    def held(self, keys: Sequence[CursorKey], version: str) -> AbstractAsyncContextManager[HeldCursors]:
        """Hold those of the cursors that nobody else has and that are not of `version`; an exception undoes all."""
