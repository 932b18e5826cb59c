"""Read schedules: one by id or key, or a page of many."""

from uuid import UUID

from scheduler_domain.application.ports.schedules import Schedules, SchedulesPage, SchedulesWanted
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import Schedule

NO_SUCH_SCHEDULE = "there is no such schedule"


class ReadSchedules:
    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def by_id(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """Raises NotFound, for another tenant's schedule as for none."""
        schedule = await self._schedules.by_id(caller.tenant_id, schedule_id)
        if schedule is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        return schedule

    async def by_key(self, caller: Caller, key: str) -> Schedule:
        schedule = await self._schedules.by_key(caller.tenant_id, key)
        if schedule is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        return schedule

    async def wanted(self, caller: Caller, wanted: SchedulesWanted) -> SchedulesPage:
        return await self._schedules.wanted(caller.tenant_id, wanted)
