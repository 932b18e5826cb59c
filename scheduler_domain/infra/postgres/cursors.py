"""Planning in PostgreSQL: read cursors, write what was planned and the moved cursors in one statement."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import asyncpg
import msgspec
import structlog

from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule
from scheduler_domain.domain.repeats import may_repeat, without
from scheduler_domain.infra.postgres.arrays import array_text, instants_text
from scheduler_domain.infra.postgres.lock_order import hold_schedules
from scheduler_domain.infra.postgres.statements import statement

_DECODED_AT_ONCE = 250  # about a millisecond: planning shares the loop with firing
_decode = msgspec.json.Decoder(PlanningRule).decode
_log = structlog.get_logger(__name__)


@lru_cache(maxsize=16_384)
def _decode_rule(text: str) -> PlanningRule:
    """Return the rule; one value for all schedules that are alike, so that it is compiled once for them."""
    return _decode(text)


class PostgresCursors:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def due_between(self, from_: datetime, until: datetime, limit: int) -> Sequence[Cursor]:
        rows = await self._pool.fetch(statement("cursors_due"), from_, until, limit)
        cursors: list[Cursor] = []
        for start in range(0, len(rows), _DECODED_AT_ONCE):
            cursors += cursors_of(rows[start : start + _DECODED_AT_ONCE])
            await asyncio.sleep(0)
        return cursors

    async def record_plans(self, plans: Sequence[Plan]) -> int:
        """See the port. A schedule that ends with nothing left to deliver is completed in the same transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Of a plan that may repeat, everything may turn out to be there already.
            ending = [plan.before for plan in plans if plan.finished and (not plan.due or may_repeat(plan))]
            await hold_schedules(connection, [(cursor.tenant_id, cursor.schedule_id) for cursor in ending])
            return await write_plans(connection, plans)

    async def set_aside(self, cursor: Cursor, reason: str) -> None:
        schedule = [cursor.tenant_id], [cursor.schedule_id], [cursor.revision]
        await self._pool.execute(statement("disable_schedules"), *schedule, [reason])


def cursors_of(rows: Iterable[asyncpg.Record]) -> list[Cursor]:
    """Return the cursors of rows whose columns stand in the order of its fields, but for those that cannot be read."""
    cursors: list[Cursor] = []
    for tenant_id, schedule_id, revision, text, *rest in rows:
        rule = readable_rule(tenant_id, schedule_id, text)
        if rule is not None:
            cursors.append(Cursor(tenant_id, schedule_id, revision, rule, *rest))
    return cursors


def readable_rule(tenant_id: str, schedule_id: UUID, text: str) -> PlanningRule | None:
    """Return the rule, or None for one that only a newer release can read, which may run beside this one.

    It is left to that release, neither disabled nor in the way of the others.
    """
    try:
        return _decode_rule(text)
    except msgspec.DecodeError as error:
        _say_unreadable(tenant_id, schedule_id, str(error))
        return None


@lru_cache(maxsize=1_024)  # said once: such a cursor is met again each second
def _say_unreadable(tenant_id: str, schedule_id: UUID, error: str) -> None:
    _log.error("rule.unreadable", tenant_id=tenant_id, schedule_id=str(schedule_id), error=error)


async def write_plans(connection: asyncpg.pool.PoolConnectionProxy, plans: Sequence[Plan]) -> int:
    """Write plans within the caller's transaction; return how many occurrences were inserted.

    The caller holds the schedules that end with these plans (lock_order.py).
    """
    plans = await _without_repeats(connection, plans)
    ordered = sorted(plans, key=lambda plan: (plan.before.tenant_id, plan.before.schedule_id))
    inserted: int = await connection.fetchval(statement("materialise_occurrences"), *plan_columns(ordered))
    exhausted = [plan.before for plan in _exhausted(ordered)]
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


def _exhausted(plans: Sequence[Plan]) -> list[Plan]:
    return [plan for plan in plans if plan.finished and not plan.due]


def plan_columns(plans: Sequence[Plan]) -> tuple[object, ...]:
    """Return what `materialise_occurrences` is given; `plans` come in the order of their schedules' keys."""
    before, after = [plan.before for plan in plans], [plan.after for plan in plans]
    due = [(place, item) for place, plan in enumerate(plans, start=1) for item in plan.due]
    skipped = [(place, item) for place, plan in enumerate(plans, start=1) for item in plan.skipped]
    return (
        array_text([cursor.tenant_id for cursor in before]),
        array_text([cursor.schedule_id for cursor in before]),
        array_text([cursor.revision for cursor in before]),
        instants_text([cursor.next_fire_at for cursor in before]),
        instants_text([cursor.next_fire_at for cursor in after]),
        [cursor.checkpoint for cursor in after],
        array_text([cursor.run_count for cursor in after]),
        array_text([cursor.caught_up_count for cursor in after]),
        array_text([cursor.next_order_ms for cursor in after]),
        array_text([cursor.tzdata for cursor in after]),
        array_text([place for place, _ in due]),
        array_text([item.id for _, item in due]),
        instants_text([item.scheduled_for for _, item in due]),
        instants_text([item.due_at for _, item in due]),
        instants_text([item.start_tag for _, item in due]),
        array_text([item.is_last for _, item in due]),
        array_text([place for place, _ in skipped]),
        array_text([item.id for _, item in skipped]),
        instants_text([item.scheduled_for for _, item in skipped]),
        instants_text([item.due_at for _, item in skipped]),
        array_text([item.reason for _, item in skipped]),
    )
