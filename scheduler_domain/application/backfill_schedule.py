"""Backfill: run what a schedule's rule names in the past and what did not run then.

What was delivered, is under way or waits as a dead letter is left alone: it ran, or is replayed. What was skipped,
cancelled, withdrawn without a trace (a pause, an edit) or lies before the schedule was created is made up for.
"""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.domain.backfill import (
    MOST_INSTANTS,
    check_computable,
    check_past_range,
    instants_between,
    to_backfill,
)
from scheduler_domain.domain.errors import Conflict, NotFound
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import ScheduleState


class Backfilled(Struct, frozen=True):
    """Of the instants in [from_, to): made now, there already (run, queued or a dead letter), and yet to be planned."""

    schedule_id: UUID
    from_: datetime
    to: datetime
    created_count: int
    present_count: int
    unplanned_count: int


class BackfillSchedule:
    """Makes backfills in the catch-up lane, so that live work passes between; `tags` is that lane."""

    def __init__(self, schedules: Schedules, clock: Clock, tags: StartTags) -> None:
        self._schedules = schedules
        self._clock = clock
        self._tags = tags

    async def __call__(
        self, caller: Caller, schedule_id: UUID, from_: datetime, to: datetime, once: Once[Backfilled]
    ) -> Backfilled:
        """Return what was made. The plan stays as it is, and a pause does not matter: somebody asked for it.

        Raises NotFound, InvalidField, AnswerTaken, and Conflict where the schedule is disabled or runs from completion.
        """
        async with self._schedules.held(caller.tenant_id, schedule_id) as held:
            if held is None:
                raise NotFound(NO_SUCH_SCHEDULE)
            if held.schedule.state == ScheduleState.DISABLED:
                raise Conflict(f"the schedule is disabled ({held.schedule.state_reason}); edit or resume it first")
            check_computable(held.cursor)
            check_past_range(from_, to, held.now)
            instants = instants_between(held.cursor, from_, to, MOST_INSTANTS, "/to")
            wanted = to_backfill(held.cursor, instants)
            waits = self._tags.waits(self._clock.now(), len(wanted))
            created = await held.backfill(wanted, waits)
            backfilled = Backfilled(schedule_id, from_, to, created, len(wanted) - created, len(instants) - len(wanted))
            await held.remember(once.remembered(backfilled))
        return backfilled
