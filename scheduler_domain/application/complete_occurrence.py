"""Complete: take a receiver's word of how the work ended that it had accepted with a 202.

The word is noted on the occurrence, and a dispatcher records it as it records every outcome: retries, chains, counts
and those who wait in line are its business alone. The receiver is answered once that has happened, which takes
milliseconds, or after `_LONGEST_WAIT` where no dispatcher runs: noted it is, and counts from when it was said. Who
calls back before answering 202 waits less, for the dispatcher may be waiting for that very answer.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from scheduler_domain.application.ports.callbacks import Callbacks
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.occurrences import Occurrences
from scheduler_domain.domain.callback import (
    CallbackRight,
    Reply,
    reply_by_history,
    reply_while_unfinished,
    right_of,
)
from scheduler_domain.domain.errors import Conflict, NotAwaited, NotFound, Unauthenticated
from scheduler_domain.domain.occurrence import Occurrence

_LONGEST_WAIT, _LONGEST_WAIT_BEFORE_ACCEPTED = timedelta(seconds=2), timedelta(seconds=0.5)
_LOOK_EVERY = timedelta(milliseconds=20)


class CompleteOccurrence:
    def __init__(self, callbacks: Callbacks, occurrences: Occurrences, clock: Clock) -> None:
        self._callbacks = callbacks
        self._occurrences = occurrences
        self._clock = clock

    async def right(self, token: str, occurrence_id: UUID) -> CallbackRight:
        """Return what the token allows. Unauthenticated where that is not this occurrence, whether or not it exists."""
        right = right_of(await self._callbacks.key(), token, occurrence_id)
        if right is None:
            raise Unauthenticated("a callback token of this occurrence is required, as its delivery brought it")
        return right

    async def __call__(self, right: CallbackRight, succeeded: bool, message: str | None) -> Occurrence:
        """Return the occurrence as it is then; saying the same again changes nothing.

        Raises Conflict where the opposite was said before, NotAwaited where no callback is awaited any more, and
        NotFound where the occurrence was withdrawn, or its history was dropped.
        """
        reply = await self._taken(right, succeeded, message)
        occurrence = await self._occurrences.by_id(right.tenant_id, right.occurrence_id)
        if occurrence is None:
            raise NotFound("there is no such occurrence any more")
        _refuse(reply or reply_by_history(occurrence, succeeded, right.attempt))
        return occurrence

    async def _taken(self, right: CallbackRight, succeeded: bool, message: str | None) -> Reply | None:
        async with self._callbacks.held(right) as held:
            if held is None:
                return None
            reply = reply_while_unfinished(held.expectation, succeeded, right.attempt)
            if reply is Reply.NOTED:
                await held.note(succeeded, message)
        if reply is Reply.NOTED:
            is_accepted = held.expectation.is_accepted
            await self._recorded(right, _LONGEST_WAIT if is_accepted else _LONGEST_WAIT_BEFORE_ACCEPTED)
        return reply

    async def _recorded(self, right: CallbackRight, longest_wait: timedelta) -> None:
        """Return once a dispatcher has recorded what was noted, or when that takes too long to wait for."""
        until = self._clock.monotonic() + longest_wait.total_seconds()
        while not await self._callbacks.is_recorded(right) and self._clock.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY.total_seconds())


def _refuse(reply: Reply) -> None:
    if reply is Reply.CONTRADICTED:
        raise Conflict("the opposite is known of this occurrence already; what was said first counts")
    if reply is Reply.NOT_AWAITED:
        raise NotAwaited("no callback is awaited: its time has passed, or the occurrence ended otherwise")
