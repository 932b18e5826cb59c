"""Dead letters in PostgreSQL: rows of the ledger that return to the queue (sql/replay_occurrences.sql)."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, literal, select, tuple_

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.dead_letters import DeadLettersWanted, Replayed
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.replay import MOST_ATTEMPTS
from scheduler_domain.infra.postgres import composed
from scheduler_domain.infra.postgres.answers import remember
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.page_cursors import cursor_instant, cursor_place, cursor_text
from scheduler_domain.infra.postgres.pool import TenantPool
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.tables import ended_as, ledger

_ORDER: Final = "deadLetters"


class PostgresDeadLetters:
    """The port application/ports/dead_letters.py on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def replay(
        self, tenant_id: str, occurrence_id: UUID, wait: timedelta, remembered: RememberedAnswer | None
    ) -> bool:
        async with self._pool.transaction(tenant_id) as connection:
            is_replayed = bool(await _replay(connection, tenant_id, [occurrence_id], [wait]))
            if is_replayed and remembered is not None:
                await remember(connection, tenant_id, remembered)
        return is_replayed

    async def replay_wanted(
        self,
        tenant_id: str,
        wanted: DeadLettersWanted,
        most: int,
        waits: Callable[[int], Sequence[timedelta]],
        remembered: Callable[[Replayed], RememberedAnswer | None],
    ) -> Replayed:
        async with self._pool.transaction(tenant_id) as connection:
            rows = await composed.fetch(connection, _oldest(tenant_id, wanted, most + 1))
            chosen = rows[:most]
            count = await _replay(connection, tenant_id, [row["id"] for row in chosen], waits(len(chosen)))
            next_cursor = None
            if len(rows) > len(chosen):
                next_cursor = cursor_text(_ORDER, chosen[-1]["scheduled_for"].isoformat(), str(chosen[-1]["id"]))
            replayed = Replayed(count, len(chosen) - count, next_cursor)
            answer = remembered(replayed)
            if answer is not None:
                await remember(connection, tenant_id, answer)
        return replayed


async def _replay(connection: Connection, tenant_id: str, ids: Sequence[UUID], waits: Sequence[timedelta]) -> int:
    rows = await connection.fetch(statement("replay_occurrences"), tenant_id, list(ids), list(waits), MOST_ATTEMPTS)
    return len(rows)


def _oldest(tenant_id: str, wanted: DeadLettersWanted, most: int) -> Select[Any]:
    query = select(ledger.c.id, ledger.c.scheduled_for).where(ledger.c.tenant_id == tenant_id, ended_as(Status.FAILED))
    if wanted.schedule_id is not None:
        query = query.where(ledger.c.schedule_id == wanted.schedule_id)
    if wanted.from_ is not None:
        query = query.where(ledger.c.scheduled_for >= wanted.from_)
    if wanted.to is not None:
        query = query.where(ledger.c.scheduled_for < wanted.to)
    if wanted.after is not None:
        value, item_id = cursor_place(wanted.after, _ORDER)
        place = tuple_(literal(cursor_instant(value), ledger.c.scheduled_for.type), literal(item_id, ledger.c.id.type))
        query = query.where(tuple_(ledger.c.scheduled_for, ledger.c.id) > place)
    return query.order_by(ledger.c.scheduled_for, ledger.c.id).limit(most)
