"""Cancel: take one occurrence back before it is started.

What nobody holds ends at once. What a dispatcher holds ahead of its instant is asked back first, by a revocation that
names this occurrence alone, and ends only when it has been given back: so a row that says CANCELLED was not sent after
the answer, and what was started in the meantime is answered as under way and goes on.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.occurrences import Occurrences
from scheduler_domain.application.ports.schedules import HeldSchedule, Schedules
from scheduler_domain.application.read_occurrences import NO_SUCH_OCCURRENCE
from scheduler_domain.application.until_let_go import answered_in_time, until_let_go
from scheduler_domain.domain.errors import Conflict, NotFound
from scheduler_domain.domain.occurrence import Occurrence, OccurrenceKind, Status
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import FixedDelayTrigger
from scheduler_domain.domain.withdrawal import Ending, QueuedOccurrence

_ASKED_AGAIN_AFTER: Final = 0.01


class CancelOccurrence:
    def __init__(self, occurrences: Occurrences, schedules: Schedules) -> None:
        self._occurrences = occurrences
        self._schedules = schedules

    async def __call__(self, caller: Caller, occurrence_id: UUID, once: Once[Occurrence]) -> Occurrence:
        """Return the occurrence as it ended. Raises NotFound, AnswerTaken, and Conflict where it is not pending.

        Raises Unavailable while a dispatcher that holds it is silent. Asks again where a dispatcher claimed it anew
        after giving it back: that ends, since its instant comes nearer.
        """
        async with answered_in_time():
            while True:
                occurrence = await self._pending(caller, occurrence_id)
                cancelled = await self._cancelled(caller, occurrence, once)
                if cancelled is not None:
                    return cancelled
                await until_let_go(self._schedules, caller.tenant_id, [occurrence.schedule_id])
                await asyncio.sleep(_ASKED_AGAIN_AFTER)

    async def _cancelled(self, caller: Caller, occurrence: Occurrence, once: Once[Occurrence]) -> Occurrence | None:
        """End the occurrence if nobody holds it; otherwise ask it back, and return None."""
        async with self._schedules.held(caller.tenant_id, occurrence.schedule_id) as held:
            if held is None:
                raise Conflict("its schedule was deleted; the occurrence ends by itself and is not started")
            row = _row_of(held, occurrence.id)
            if row is None:
                return None
            if row.is_leased(held.now):
                await held.revoke(row)
                return None
            cancelled = _ended(occurrence, held.now)
            await held.cancel(row, _next_due_at(held, row), once.remembered(cancelled))
            return cancelled

    async def _pending(self, caller: Caller, occurrence_id: UUID) -> Occurrence:
        occurrence = await self._occurrences.by_id(caller.tenant_id, occurrence_id)
        if occurrence is None:
            raise NotFound(NO_SUCH_OCCURRENCE)
        if occurrence.status != Status.PENDING:
            raise _refusal(occurrence.status)
        return occurrence


def _row_of(held: HeldSchedule, occurrence_id: UUID) -> QueuedOccurrence | None:
    """Return the occurrence's row, if it is in the queue still; raise Conflict if it is under way by now."""
    row = next((row for row in held.queued if row.id == occurrence_id), None)
    if row is not None and row.is_under_way(held.now):
        raise _refusal(Status.PROCESSING)
    return row


def _refusal(status: Status) -> Conflict:
    so = "is under way" if status == Status.PROCESSING else "has ended"
    return Conflict(f"the occurrence is {status}: it {so}; what is PENDING can be cancelled")


def _ended(occurrence: Occurrence, at: datetime) -> Occurrence:
    return replace(
        occurrence, status=Status.CANCELLED, reason=Ending.BY_HAND.value, next_attempt_at=None, completed_at=at
    )


def _next_due_at(held: HeldSchedule, row: QueuedOccurrence) -> datetime | None:
    """Return when a schedule that runs from completion is due again: cancelled is ended, too."""
    trigger = held.cursor.rule.trigger
    if row.kind != OccurrenceKind.SCHEDULED or not held.cursor.rule.is_chained or row.is_requested:
        return None
    assert isinstance(trigger, FixedDelayTrigger)
    return held.now + timedelta(seconds=trigger.delay_sec)
