"""Materialise: turn rules into the occurrences of the next minute, ahead of time and in batches.

At an instant nothing is computed any more. Exactly-once planning rests on computed ids and guarded cursors, not on
the leader lock; the lock only spares the work (docs/decisions/0001).
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.cursors import Cursors
from scheduler_domain.application.ports.leadership import Leadership
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.planning import Cursor, Plan, plan
from scheduler_domain.domain.triggers import TriggerError

CURSORS_PER_STEP = 1_000
ROWS_PER_WRITE = 1_000
_LONGEST_SLICE_SECONDS = 0.002  # planning shares the loop with firing, which promises milliseconds


class MaterialiseOccurrences:
    def __init__(
        self,
        cursors: Cursors,
        leadership: Leadership,
        clock: Clock,
        measurements: Measurements,
        tracer: Tracer,
        lookahead: timedelta,
    ) -> None:
        self._cursors = cursors
        self._leadership = leadership
        self._clock = clock
        self._measurements = measurements
        self._tracer = tracer
        self._lookahead = lookahead
        self._tags = StartTags()

    async def step(self) -> int:
        """Plan one batch of schedules if it is this process's turn; return how many cursors were looked at."""
        async with self._leadership.turn() as is_leader:
            self._measurements.leading(is_leader)
            return await self.plan_due() if is_leader else 0

    async def plan_due(self) -> int:
        """Plan one batch whoever leads: safe at any time, because planning twice is harmless."""
        cursors = await self._cursors.due_before(self._clock.now() + self._lookahead, CURSORS_PER_STEP)
        if cursors:
            with self._tracer.step("materialise") as step:
                step.handled(len(cursors))
                await self._plan_all(cursors)
        return len(cursors)

    async def _plan_all(self, cursors: Sequence[Cursor]) -> None:
        plans: list[Plan] = []
        rows = 0
        slice_began = self._clock.monotonic()
        for cursor in cursors:
            planned = await self._plan(cursor)
            if planned is None:
                continue
            plans.append(planned)
            rows += len(planned.due) + len(planned.skipped)
            if rows >= ROWS_PER_WRITE:
                await self._write(plans)
                plans, rows = [], 0
            if self._clock.monotonic() - slice_began > _LONGEST_SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_began = self._clock.monotonic()
        if plans:
            await self._write(plans)

    async def _plan(self, cursor: Cursor) -> Plan | None:
        now = self._clock.now()
        try:
            return plan(cursor, now, now + self._lookahead, self._tags)
        except TriggerError as error:  # accepted once, refused now: a newer tzdata or engine no longer knows it
            await self._cursors.set_aside(cursor, f"the trigger can no longer be planned: {error}")
            return None

    async def _write(self, plans: Sequence[Plan]) -> None:
        self._measurements.materialised(await self._cursors.record_plans(plans))
