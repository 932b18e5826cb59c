"""Read occurrences: the history that answers "did it fire, when, and if not, why not?"."""

from uuid import UUID

from scheduler_domain.application.ports.occurrences import Occurrences, OccurrencesPage, OccurrencesWanted
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.occurrence import Occurrence
from scheduler_domain.domain.roles import Caller

NO_SUCH_OCCURRENCE = "there is no such occurrence"


class ReadOccurrences:
    def __init__(self, occurrences: Occurrences, schedules: Schedules) -> None:
        self._occurrences = occurrences
        self._schedules = schedules

    async def by_id(self, caller: Caller, occurrence_id: UUID) -> Occurrence:
        """Raises NotFound, for another tenant's occurrence as for none."""
        occurrence = await self._occurrences.by_id(caller.tenant_id, occurrence_id)
        if occurrence is None:
            raise NotFound(NO_SUCH_OCCURRENCE)
        return occurrence

    async def wanted(self, caller: Caller, wanted: OccurrencesWanted) -> OccurrencesPage:
        return await self._occurrences.wanted(caller.tenant_id, wanted)

    async def of_schedule(self, caller: Caller, schedule_id: UUID, wanted: OccurrencesWanted) -> OccurrencesPage:
        """Return a page of one schedule's history, which outlives the schedule.

        Raises NotFound where there is neither history nor schedule.
        """
        page = await self._occurrences.wanted(caller.tenant_id, wanted)
        if page.total == 0 and await self._schedules.by_id(caller.tenant_id, schedule_id) is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        return page
