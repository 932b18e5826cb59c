"""Upsert: make the schedule under a key what the definition says, whether it exists or not."""

from typing import Final

from scheduler_domain.application.accept_schedule import AcceptSchedule
from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import ChangeSchedule, Edit, Precondition
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.domain.errors import Conflict, KeyTaken, NotFound, VersionMismatch
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import Schedule, ScheduleDefinition

_TRIES: Final = 3


class UpsertSchedule:
    def __init__(self, schedules: Schedules, accept: AcceptSchedule, change: ChangeSchedule) -> None:
        self._schedules = schedules
        self._accept = accept
        self._change = change

    async def __call__(
        self,
        caller: Caller,
        key: str,
        definition: ScheduleDefinition,
        edit: Edit,
        precondition: Precondition,
        once: Once[Schedule],
    ) -> tuple[Schedule, bool]:
        """Return the schedule and whether it is new. `edit` applies the definition to one that exists.

        Raises what accepting and editing raise, and VersionMismatch where a precondition names a version of nothing.
        Two callers may make or delete the schedule at the same time: whoever comes second starts over.
        """
        for _ in range(_TRIES):
            existing = await self._schedules.by_key(caller.tenant_id, key)
            try:
                if existing is not None:
                    return await self._change.edit(caller, existing.id, precondition, edit), False
                if precondition.needs_existing:
                    raise VersionMismatch("there is no schedule with this key that If-Match could match")
                return await self._accept(caller, definition, once), True
            except (NotFound, KeyTaken):
                continue
        raise Conflict("the schedule under this key keeps changing; try again shortly")
