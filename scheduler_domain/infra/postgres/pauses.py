"""Pauses that named their end: without this file they would last until somebody resumed by hand.

A schedule goes on from the end that its pause named, not from when a dispatcher came to look: an instant between the
two would have no row at all, and `pause until 09:00` would lose 09:00. Dispatchers look every few seconds, so what came
due since then is planned here as if they had been punctual. After an end that was noticed late, because no dispatcher
ran, the cursor alone is placed, and the planner decides by the schedule's misfire policy as after any absence.
"""

from datetime import datetime, timedelta
from typing import Final

import asyncpg
from msgspec.structs import replace

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.planning import Cursor, first_cursor, placed, plan
from scheduler_domain.domain.triggers import TriggerError
from scheduler_domain.infra.postgres.cursors import PostgresCursors, readable_rule, write_plans
from scheduler_domain.infra.postgres.statements import statement

NOTICED_WITHIN: Final = timedelta(seconds=10)
"""Two looks. Until then nothing was missed: the schedule's owner cannot know when a dispatcher looks."""
_LIFTED_PER_STEP = 100


class Pauses:
    def __init__(self, pool: asyncpg.Pool, tags: StartTags) -> None:
        self._pool = pool
        self._cursors = PostgresCursors(pool)
        self._tags = tags

    async def lift(self) -> None:
        """Make a batch of schedules active again whose pause is over, those first that have waited longest.

        Several dispatchers may do so at once: one of them lifts, and plans, each.
        """
        for over in await self._pool.fetch(statement("pauses_over"), _LIFTED_PER_STEP):
            await self._lift(over)

    async def _lift(self, over: asyncpg.Record) -> None:
        rule = readable_rule(over["tenant_id"], over["id"], over["rule"])
        if rule is None:
            return
        paused = Cursor(
            over["tenant_id"],
            over["id"],
            over["revision"],
            rule,
            over["created_at"],
            next_fire_at=None,
            run_count=over["run_count"],
            repeats_until=over["repeats_until"],
        )
        resume_at, now = over["resume_at"], over["now"]
        try:
            cursor = _going_on(paused, resume_at)
        except TriggerError as error:  # it would stand before all others at each step
            await self._cursors.set_aside(paused, f"the trigger can no longer be planned: {error}")
            return
        # In one transaction, or the planner could come in between and call missed what was not.
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                statement("lift_pause"),
                cursor.tenant_id,
                cursor.schedule_id,
                cursor.revision,
                cursor.next_fire_at,
                cursor.next_order_ms,
                cursor.tzdata,
                cursor.rule.is_chained,
                resume_at,
            )
            if cursor.next_fire_at is not None and cursor.next_fire_at <= now <= resume_at + NOTICED_WITHIN:
                await write_plans(connection, [plan(cursor, resume_at, now, self._tags)])


def _going_on(paused: Cursor, from_: datetime) -> Cursor:
    """Return the cursor at the first instant from the pause's end on; at none where its runs are spent."""
    if paused.is_spent:
        return placed(paused, None)
    cursor = first_cursor(paused.tenant_id, paused.schedule_id, paused.revision, paused.rule, paused.created_at, from_)
    return replace(cursor, run_count=paused.run_count, repeats_until=paused.repeats_until)
