"""Planning in PostgreSQL: read cursors, write what was planned and the moved cursors in one statement."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule
from scheduler_domain.domain.repeats import may_repeat, without
from scheduler_domain.infra.postgres.statements import statement

_decode_rule = msgspec.json.Decoder(PlanningRule).decode


class PostgresCursors:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def due_between(self, from_: datetime, until: datetime, limit: int) -> Sequence[Cursor]:
        rows = await self._pool.fetch(statement("cursors_due"), from_, until, limit)
        return [cursor_of(row) for row in rows]

    async def record_plans(self, plans: Sequence[Plan]) -> int:
        """See the port. A schedule that ends with nothing left to deliver is completed in the same transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await write_plans(connection, plans)

    async def set_aside(self, cursor: Cursor, reason: str) -> None:
        await self._pool.execute(statement("disable_schedules"), [cursor.tenant_id], [cursor.schedule_id], [reason])


def cursor_of(row: asyncpg.Record) -> Cursor:
    """Return the cursor of a row whose columns stand in the order of its fields."""
    tenant_id, schedule_id, revision, rule, *rest = row
    return Cursor(tenant_id, schedule_id, revision, _decode_rule(rule), *rest)


async def write_plans(connection: asyncpg.pool.PoolConnectionProxy, plans: Sequence[Plan]) -> int:
    """Write plans within the caller's transaction; return how many occurrences were inserted."""
    plans = await _without_repeats(connection, plans)
    ordered = sorted(plans, key=lambda plan: (plan.before.tenant_id, plan.before.schedule_id))
    inserted: int = await connection.fetchval(statement("materialise_occurrences"), *_columns(ordered))
    exhausted = [plan.before for plan in ordered if plan.finished and not plan.due]
    if exhausted:
        await connection.execute(
            statement("complete_schedules"),
            [cursor.tenant_id for cursor in exhausted],
            [cursor.schedule_id for cursor in exhausted],
            [cursor.revision for cursor in exhausted],
        )
    return inserted


async def _without_repeats(connection: asyncpg.pool.PoolConnectionProxy, plans: Sequence[Plan]) -> Sequence[Plan]:
    """Leave out what was named before an edit and exists already; asked only of schedules that were edited so."""
    due = [item for plan in plans if may_repeat(plan) for item in plan.due]
    if not due:
        return plans
    rows = await connection.fetch(
        statement("taken_occurrences"),
        [item.tenant_id for item in due],
        [item.schedule_id for item in due],
        [item.id for item in due],
    )
    taken = {row[0] for row in rows}
    return [without(plan, taken) if may_repeat(plan) else plan for plan in plans]


def _columns(plans: Sequence[Plan]) -> tuple[list[object], ...]:
    due = [occurrence for plan in plans for occurrence in plan.due]
    skipped = [occurrence for plan in plans for occurrence in plan.skipped]
    return (
        [plan.before.tenant_id for plan in plans],
        [plan.before.schedule_id for plan in plans],
        [plan.before.revision for plan in plans],
        [plan.before.next_fire_at for plan in plans],
        [plan.after.next_fire_at for plan in plans],
        [plan.after.checkpoint for plan in plans],
        [plan.after.run_count for plan in plans],
        [plan.after.caught_up_count for plan in plans],
        [item.tenant_id for item in due],
        [item.schedule_id for item in due],
        [item.id for item in due],
        [item.revision for item in due],
        [item.scheduled_for for item in due],
        [item.due_at for item in due],
        [item.start_tag for item in due],
        [item.is_last for item in due],
        [item.tenant_id for item in skipped],
        [item.schedule_id for item in skipped],
        [item.id for item in skipped],
        [item.revision for item in skipped],
        [item.scheduled_for for item in skipped],
        [item.due_at for item in skipped],
        [item.reason for item in skipped],
        [plan.after.next_order_ms for plan in plans],
        [plan.after.tzdata for plan in plans],
    )
