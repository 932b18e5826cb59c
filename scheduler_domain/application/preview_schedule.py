"""Preview what a stored schedule will fire next, as far as its limits leave it anything to fire."""

from datetime import timedelta
from uuid import UUID

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.application.preview_trigger import Preview, preview_trigger
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import FixedDelayTrigger, Schedule, ScheduleState, rule_spec_of
from scheduler_domain.domain.triggers import TriggerError
from scheduler_domain.domain.validation import rule_problem


class PreviewSchedule:
    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock

    async def __call__(self, caller: Caller, schedule_id: UUID, count: int) -> Preview:
        """Return the next instants from now. A paused schedule answers as if it were resumed now. Raises NotFound."""
        schedule = await self._schedules.by_id(caller.tenant_id, schedule_id)
        if schedule is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        now = self._clock.now()
        trigger = schedule.definition.trigger
        last_completed_at = None
        if isinstance(trigger, FixedDelayTrigger) and trigger.anchor == "COMPLETION":
            delay = timedelta(seconds=trigger.delay_sec)
            # While one is under way its end is not known: the projection takes it to end now.
            last_completed_at = now if schedule.next_fire_at is None else schedule.next_fire_at - delay
        try:
            spec = rule_spec_of(schedule.definition, schedule.created_at)
            return preview_trigger(spec, now, count, await self._runs_left(schedule), last_completed_at)
        except TriggerError as error:
            raise rule_problem(error) from None

    async def _runs_left(self, schedule: Schedule) -> int | None:
        if schedule.state == ScheduleState.COMPLETED:
            return 0
        most = schedule.definition.max_runs
        if most is None:
            return None
        return max(most - await self._schedules.run_count(schedule.tenant_id, schedule.id), 0)
