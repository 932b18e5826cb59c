"""Following the tz database in PostgreSQL: cursors by edition, held and moved with what they have queued.

Lock order as everywhere (lock_order.py): schedule and cursor, then queue; several by key. What others have locked is
passed by.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.zone_moves import CursorKey, HeldCursors, Visit
from scheduler_domain.domain.zone_move import Candidate, PlannedAhead, QueuedAhead, ZoneMove
from scheduler_domain.infra.postgres.cursors import cursors_of, write_plans
from scheduler_domain.infra.postgres.statements import statement

EDITION_HEARD_OF_WITHIN = timedelta(seconds=30)
"""Half of what is planned ahead: an older edition takes over before a lack of plans would show."""
_LOOKED_AT, _RETURNED = 5_000, 200
_BEFORE_ALL = CursorKey("", UUID(int=0))


class PostgresZoneMoves:
    """The port application/ports/zone_moves.py on PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def leading(self, version: str) -> str:
        leading: str = await self._pool.fetchval(statement("lead_tzdata"), version, EDITION_HEARD_OF_WITHIN)
        return leading

    async def visit(self, after: CursorKey | None, version: str) -> Visit:
        start = after or _BEFORE_ALL
        rows = await self._pool.fetch(statement("visit_cursors"), *start, _LOOKED_AT, version, _RETURNED)
        other = [CursorKey(tenant_id, schedule_id) for tenant_id, schedule_id, is_other in rows if is_other]
        if len(other) == _RETURNED:
            return Visit(other, other[-1])
        return Visit(other, next((CursorKey(*row[:2]) for row in rows if not row["is_other"]), None))

    @asynccontextmanager
    async def held(self, keys: Sequence[CursorKey], version: str) -> AsyncIterator[HeldCursors]:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(statement("hold_cursors"), *_columns(keys), version)
            cursors = cursors_of(rows)
            ours = [CursorKey(cursor.tenant_id, cursor.schedule_id) for cursor in cursors]
            queued: dict[CursorKey, list[QueuedAhead]] = defaultdict(list)
            for row in await connection.fetch(statement("hold_queued_ahead"), *_columns(ours), self._clock.now()):
                queued[CursorKey(*row[:2])].append(QueuedAhead(*row[2:]))
            ahead = [PlannedAhead(cursor, queued[key]) for key, cursor in zip(ours, cursors, strict=True)]
            yield _Held(connection, ahead)


class _Held:
    """Cursors under lock, for as long as the transaction of `held` lasts."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, ahead: Sequence[PlannedAhead]) -> None:
        self._connection = connection
        self.ahead = ahead

    async def taken(self, candidates: Sequence[tuple[CursorKey, Candidate]]) -> set[UUID]:
        rows = await self._connection.fetch(
            statement("taken_occurrences"),
            *_columns([key for key, _ in candidates]),
            [candidate.id for _, candidate in candidates],
        )
        return {row[0] for row in rows}

    async def record(self, version: str, moves: Sequence[ZoneMove]) -> None:
        if not moves:
            return
        await self._unplan(moves)
        await self._move(moves)
        await write_plans(self._connection, [move.plan for move in moves])
        changes = [(_key(move), change) for move in moves for change in move.changes]
        if changes:
            await self._connection.execute(
                statement("note_moves"),
                version,
                *_columns([key for key, _ in changes]),
                [change.occurrence_id for _, change in changes],
                [change.was_at for _, change in changes],
                [change.is_at for _, change in changes],
            )

    async def _unplan(self, moves: Sequence[ZoneMove]) -> None:
        unplanned = [(_key(move), id_) for move in moves for id_ in move.unplanned]
        if unplanned:
            await self._connection.execute(
                statement("unplan_occurrences"),
                *_columns([key for key, _ in unplanned]),
                [id_ for _, id_ in unplanned],
            )

    async def _move(self, moves: Sequence[ZoneMove]) -> None:
        moved = [(_key(move), row) for move in moves for row in move.moved]
        if moved:
            await self._connection.execute(
                statement("move_occurrences"),
                *_columns([key for key, _ in moved]),
                [row.id for _, row in moved],
                [row.scheduled_for for _, row in moved],
                [row.due_at for _, row in moved],
                [row.start_tag for _, row in moved],
                [row.is_last for _, row in moved],
            )


def _key(move: ZoneMove) -> CursorKey:
    return CursorKey(move.plan.before.tenant_id, move.plan.before.schedule_id)


def _columns(keys: Sequence[CursorKey]) -> tuple[list[str], list[UUID]]:
    return [key.tenant_id for key in keys], [key.schedule_id for key in keys]
