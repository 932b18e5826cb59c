"""Rescue: keep the leases of what is still on our hands, and let go of what is no longer ours to deliver.

What a dispatcher that vanished had on its hands needs no code of its own: its leases run out and the next claim that
looks at everything finds them. Runs apart from the delivery loop, so that slow deliveries never cost a lease.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from msgspec.structs import replace

from scheduler_domain.application.batch_size import BatchSize
from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.dispatchers import Dispatchers, Revocation
from scheduler_domain.application.ports.due_queue import DueQueue
from scheduler_domain.domain import lease
from scheduler_domain.domain.misfire import ABSENT_AFTER, Absence

_LEASES_PER_WRITE = 1_000


class RescueOccurrences:
    """`claiming` is held while a claim is on its way into the dispatcher's hands, so that none slips past a look.

    `absence` is the last time in which no dispatcher lived, as of the last heartbeat. `is_asking` is true while a look
    waits for a claim, which then should come to its end.
    """

    def __init__(
        self,
        queue: DueQueue,
        dispatchers: Dispatchers,
        number: int,
        deliver: DeliverOccurrences,
        clock: Clock,
        claiming: asyncio.Lock,
        lease_length: timedelta = lease.LENGTH,
    ) -> None:
        self._queue = queue
        self._dispatchers = dispatchers
        self._number = number
        self._deliver = deliver
        self._clock = clock
        self._claiming = claiming
        self._trusted_for = (lease_length - lease.MARGIN).total_seconds()
        self._renewed_below = lease.renewed_below(lease_length).total_seconds()
        self._size = BatchSize(_LEASES_PER_WRITE, clock)
        self._obeyed: set[int] = set()
        self._beating = asyncio.Lock()
        self._heard_at = -math.inf
        self.is_asking = False
        self.absence: Absence | None = None

    async def renew(self) -> int:
        """Renew the leases that have been held for a while; drop those that others hold by now.

        To be called each `lease.LOOKED_AT_EVERY`.
        """
        asked_at = self._clock.monotonic()
        ageing = [item for item in self._deliver.open() if item.lease_ends - asked_at < self._renewed_below]
        renewed = 0
        while renewed < len(ageing):
            batch = ageing[renewed : renewed + self._size.rows]
            renewed += len(batch)
            asked_at = self._clock.monotonic()
            with self._size.measured() as done:
                ours = await self._queue.renew([item.claimed for item in batch])
                done(len(batch))
            for item in batch:
                place = ours.get(item.claimed.id)
                if place is not None:
                    item.claimed = replace(item.claimed, place=place)
                    item.lease_ends = asked_at + self._trusted_for
            self._deliver.let_go(item for item in batch if item.claimed.id not in ours)
        return len(ageing)

    @property
    def is_out_of_touch(self) -> bool:
        """Whether nothing was heard of the others for so long that an absence may have ended meanwhile."""
        return self._clock.monotonic() - self._heard_at > ABSENT_AFTER.total_seconds()

    async def obey(self) -> int:
        """Let go of what was revoked, then say so; return how many new revocations were of whole schedules.

        What is let go of a schedule is to be claimed at once, to be ended or to go by its new revision. A single
        occurrence is not: whoever asked it back is about to end it, and would ask in vain if it were taken again.
        """
        revocations = await self._dispatchers.recent_revocations()
        new = [item for item in revocations if item.sequence not in self._obeyed]
        if new:
            await self._let_go_of(new)
        self._obeyed = {item.sequence for item in revocations}
        await self.beat()
        return sum(1 for item in new if item.occurrence_id is None)

    async def beat(self) -> None:
        """Say that this dispatcher lives, and what it has obeyed; hear when none did.

        To be called each second beside `obey`: that may wait for a claim, and claims take long where the database is
        slow. Whoever is not heard of meanwhile counts as absent, and what was due then as missed.
        """
        async with self._beating:
            asked_at = self._clock.monotonic()
            self.absence = await self._dispatchers.beat(self._number, sorted(self._obeyed))
            self._heard_at = asked_at

    async def release_unstarted(self) -> int:
        """Give back everything that was not started; for drain."""
        async with self._claiming:
            dropped = self._deliver.let_go(self._deliver.open())
        await self._release(dropped)
        return len(dropped)

    async def _let_go_of(self, revoked: Sequence[Revocation]) -> None:
        whole = {(item.tenant_id, item.schedule_id) for item in revoked if item.occurrence_id is None}
        single = {(item.tenant_id, item.occurrence_id) for item in revoked if item.occurrence_id is not None}
        async with self._asked_for():
            dropped = self._deliver.let_go(
                item
                for item in self._deliver.open()
                if (item.claimed.tenant_id, item.claimed.schedule_id) in whole
                or (item.claimed.tenant_id, item.claimed.id) in single
            )
        await self._release(dropped)

    @asynccontextmanager
    async def _asked_for(self) -> AsyncIterator[None]:
        """Hold `claiming`, and have whoever holds it come to an end."""
        self.is_asking = True
        try:
            await self._claiming.acquire()
        finally:
            self.is_asking = False
        try:
            yield
        finally:
            self._claiming.release()

    async def _release(self, dropped: Sequence[HeldOccurrence]) -> None:
        for start in range(0, len(dropped), _LEASES_PER_WRITE):
            await self._queue.release([item.claimed for item in dropped[start : start + _LEASES_PER_WRITE]])
