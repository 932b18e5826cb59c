"""Replay: send dead letters on their way again, each under the id and the key that it has.

A receiver that got it after all, whatever the ledger says, recognises the key. The schedule's target and payload are
those of now: most dead letters are replayed because somebody mended one of them.
"""

from uuid import UUID

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.dead_letters import DeadLetters, DeadLettersWanted, Replayed
from scheduler_domain.application.ports.occurrences import Occurrences
from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.application.read_occurrences import NO_SUCH_OCCURRENCE
from scheduler_domain.domain.errors import Conflict, NotFound
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.occurrence import Occurrence
from scheduler_domain.domain.replay import replayed, why_not_replayed
from scheduler_domain.domain.roles import Caller

REPLAYED_AT_ONCE = 1_000


class ReplayOccurrences:
    """Replays in the catch-up lane, so that live work passes between; `tags` is that lane, shared with backfills."""

    def __init__(
        self, dead_letters: DeadLetters, occurrences: Occurrences, schedules: Schedules, clock: Clock, tags: StartTags
    ) -> None:
        self._dead_letters = dead_letters
        self._occurrences = occurrences
        self._schedules = schedules
        self._clock = clock
        self._tags = tags

    async def one(self, caller: Caller, occurrence_id: UUID, once: Once[Occurrence]) -> Occurrence:
        """Return the occurrence, pending again. Raises NotFound, Conflict with the reason, and AnswerTaken."""
        occurrence = await self._replayable(caller, occurrence_id)
        now = self._clock.now()
        [wait] = self._tags.waits(now, 1)
        pending = replayed(occurrence, now + wait)
        if not await self._dead_letters.replay(caller.tenant_id, occurrence_id, wait, once.remembered(pending)):
            await self._replayable(caller, occurrence_id)
            raise Conflict("the occurrence changed at this very moment; look at it, and ask again")
        return pending

    async def wanted(self, caller: Caller, wanted: DeadLettersWanted, once: Once[Replayed]) -> Replayed:
        """Replay a bounded number of dead letters, the oldest first; what has no living schedule is passed by."""
        now = self._clock.now()
        return await self._dead_letters.replay_wanted(
            caller.tenant_id,
            wanted,
            REPLAYED_AT_ONCE,
            lambda count: self._tags.waits(now, count),
            once.remembered,
        )

    async def _replayable(self, caller: Caller, occurrence_id: UUID) -> Occurrence:
        occurrence = await self._occurrences.by_id(caller.tenant_id, occurrence_id)
        if occurrence is None:
            raise NotFound(NO_SUCH_OCCURRENCE)
        schedule = await self._schedules.by_id(caller.tenant_id, occurrence.schedule_id)
        reason = why_not_replayed(occurrence, schedule)
        if reason is not None:
            raise Conflict(reason)
        return occurrence
