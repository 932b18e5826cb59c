"""Trigger: run a schedule now, once, beside its plan and whatever its state."""

from datetime import UTC, datetime
from uuid import UUID

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.occurrences import Occurrences
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.occurrence import Occurrence, OccurrenceKind, Status
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import Schedule


class TriggerSchedule:
    def __init__(self, occurrences: Occurrences, schedules: Schedules, clock: Clock) -> None:
        self._occurrences = occurrences
        self._schedules = schedules
        self._clock = clock

    async def __call__(self, caller: Caller, schedule_id: UUID, once: Once[Occurrence]) -> Occurrence:
        """Return the manual occurrence, due now. Raises NotFound, AnswerTaken, Conflict within a microsecond."""
        schedule = await self._schedules.by_id(caller.tenant_id, schedule_id)
        if schedule is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        occurrence = manual_occurrence(schedule, self._clock.now())
        is_there = await self._occurrences.add_manual(
            caller.tenant_id, schedule_id, occurrence.id, occurrence.scheduled_for, once.remembered(occurrence)
        )
        if not is_there:
            raise NotFound(NO_SUCH_SCHEDULE)
        return occurrence


def manual_occurrence(schedule: Schedule, at: datetime) -> Occurrence:
    """Return the occurrence that a request at this instant makes; its identity is the instant, to the microsecond."""
    nominal = at.astimezone(UTC).isoformat(timespec="microseconds")
    identity = occurrence_id(
        schedule.tenant_id, schedule.id, OccurrenceKind.MANUAL, nominal, int(at.timestamp() * 1000)
    )
    return Occurrence(
        id=identity,
        tenant_id=schedule.tenant_id,
        schedule_id=schedule.id,
        kind=OccurrenceKind.MANUAL,
        scheduled_for=at,
        due_at=at,
        status=Status.PENDING,
        reason=None,
        attempts=[],
        next_attempt_at=at,
        completed_at=None,
        lateness_ms=None,
        trace_id=identity.hex,
        revision=schedule.revision,
    )
