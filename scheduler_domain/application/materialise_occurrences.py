"""Materialise: turn rules into the occurrences of the next minute, ahead of time and in batches.

At an instant nothing is computed any more. Exactly-once planning rests on computed ids and guarded cursors, not on
the leader lock; the lock only spares the work (docs/decisions/0001).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.cursors import Cursors
from scheduler_domain.application.ports.leadership import Leadership
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.application.ports.zone_moves import CursorKey
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.domain.planning import Cursor, Plan, plan
from scheduler_domain.domain.triggers import TriggerError

CURSORS_PER_STEP = 4_000
ROWS_PER_WRITE = 250  # what takes the loop a few milliseconds to hand over; larger ones are no faster
MISSED_ROWS_PER_STEP = 20_000  # about a second's work: what is still to come is looked at again in between
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
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
        follow: FollowTzdata,
        tags: StartTags,
    ) -> None:
        self._cursors = cursors
        self._leadership = leadership
        self._clock = clock
        self._measurements = measurements
        self._tracer = tracer
        self._lookahead = lookahead
        self._follow = follow
        self._tags = tags

    async def step(self) -> bool:
        """Plan one batch of schedules if it is this process's turn; return whether more are waiting."""
        if self._follow.is_overtaken:
            self._measurements.leading(False)
            return False
        async with self._leadership.turn() as is_leader:
            self._measurements.leading(is_leader)
            return await self.plan_due() if is_leader else False

    async def plan_due(self) -> bool:
        """Plan one batch whoever leads: safe at any time, because planning twice is harmless.

        What is still to come goes first and what was missed second, each up to a batch, so that catching up after a
        day away never makes live schedules miss their own instants. A batch of what was missed is bounded by its rows
        as well: a thousand schedules may have missed a million instants, which takes longer than is planned ahead.
        """
        now = self._clock.now()
        late_before = now - MISFIRE_THRESHOLD
        is_live_left = await self._plan_between(late_before, now + self._lookahead)
        is_missed_left = await self._plan_between(_EVER, late_before, MISSED_ROWS_PER_STEP)
        return is_live_left or is_missed_left

    async def _plan_between(self, from_: datetime, until: datetime, most_rows: int | None = None) -> bool:
        """Plan a batch of cursors, and none more once there are `most_rows`; return whether there may be others."""
        cursors = await self._plannable(from_, until)
        if not cursors:
            return False
        with self._tracer.step("materialise") as step:
            step.handled(len(cursors))
            is_cut_short = await self._plan_all(cursors, until, most_rows)
        return is_cut_short or len(cursors) == CURSORS_PER_STEP

    async def _plannable(self, from_: datetime, until: datetime) -> Sequence[Cursor]:
        """Return the cursors that are due, each computed with the tz database in use; others are followed first.

        Without that, an instant that moved to an earlier one would be stepped over. A cursor that somebody else has
        just now, or that a newer edition computed, is left to them.
        """
        cursors = await self._cursors.due_between(from_, until, CURSORS_PER_STEP)
        others = [cursor for cursor in cursors if self._is_of_other_edition(cursor)]
        if not others:
            return cursors
        if not self._follow.is_overtaken:
            await self._follow.follow([CursorKey(cursor.tenant_id, cursor.schedule_id) for cursor in others])
            cursors = await self._cursors.due_between(from_, until, CURSORS_PER_STEP)
        return [cursor for cursor in cursors if not self._is_of_other_edition(cursor)]

    def _is_of_other_edition(self, cursor: Cursor) -> bool:
        return cursor.tzdata != self._follow.version and not cursor.rule.is_chained

    async def _plan_all(self, cursors: Sequence[Cursor], until: datetime, most_rows: int | None) -> bool:
        """Plan them, as far as `most_rows` go; one batch is computed while the database writes the one before.

        Returns whether some are left, or have more instants before `until` than one plan holds.
        """
        total, has_more = 0, False
        async with asyncio.TaskGroup() as writes:
            async for plans, rows in self._planned(cursors, most_rows):
                total += rows
                has_more = has_more or any(_is_before(plan.after.next_fire_at, until) for plan in plans)
                writes.create_task(self._write(plans))
        return has_more or (most_rows is not None and total >= most_rows)

    async def _planned(self, cursors: Sequence[Cursor], most_rows: int | None) -> AsyncIterator[tuple[list[Plan], int]]:
        plans: list[Plan] = []
        rows = total = 0
        slice_began = self._clock.monotonic()
        for cursor in cursors:
            planned = await self._plan(cursor)
            if planned is None:
                continue
            plans.append(planned)
            rows += len(planned.due) + len(planned.skipped)
            if rows >= ROWS_PER_WRITE:
                yield plans, rows
                total += rows
                plans, rows = [], 0
                if most_rows is not None and total >= most_rows:
                    return
            if self._clock.monotonic() - slice_began > _LONGEST_SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_began = self._clock.monotonic()
        if plans:
            yield plans, rows

    async def _plan(self, cursor: Cursor) -> Plan | None:
        now = self._clock.now()
        try:
            return plan(cursor, now, now + self._lookahead, self._tags)
        except TriggerError as error:  # accepted once, refused now: a newer tzdata or engine no longer knows it
            await self._cursors.set_aside(cursor, f"the trigger can no longer be planned: {error}")
            return None

    async def _write(self, plans: Sequence[Plan]) -> None:
        self._measurements.materialised(await self._cursors.record_plans(plans))


def _is_before(at: datetime | None, until: datetime) -> bool:
    return at is not None and at < until
