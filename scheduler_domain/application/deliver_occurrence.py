"""Deliver: hold what is claimed until its instant, then hand it to the sender of its lane.

Brokers take many occurrences at once; `SENDS_IN_FLIGHT` batches overlap, so that one is encoded while another waits
for its acknowledgement, and a flush that takes long delays nothing but what it flushes. HTTP requests go one by one
through lanes of (tenant, origin), so that a receiver that hangs holds up nobody but itself; what finds no place to wait
in its lane, or whose circuit is open, is refused, and put off (put_off_occurrences.py).

An occurrence is started only while its lease is surely ours, and never before its instant.
"""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.circuits import CircuitChange, Circuits
from scheduler_domain.application.held_occurrence import HeldOccurrence, Stage, held_ended_unattempted
from scheduler_domain.application.http_lanes import MOST_WAITING, HttpLanes
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.delivery import BrokerSender, SingleSender
from scheduler_domain.application.ports.due_queue import Claimed, Ended
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.application.ports.tracing import TracedAttempt, Tracer
from scheduler_domain.application.record_outcomes import Leased, RecordOutcomes
from scheduler_domain.domain.circuit import USUAL_TERMS, CircuitTerms
from scheduler_domain.domain.outcome import Accepted, Delivered, Outcome
from scheduler_domain.domain.payload import fired_at_text

LARGEST_SEND = 1_000
SENDS_IN_FLIGHT = 8
_SLICE = 5_000


class DeliverOccurrences:
    def __init__(
        self,
        brokers: Mapping[str, BrokerSender],
        webhook: SingleSender,
        outcomes: RecordOutcomes,
        clock: Clock,
        measurements: Measurements,
        tracer: Tracer,
        http_slots: int,
        most_webhooks_waiting: int = MOST_WAITING,
        circuit_terms: CircuitTerms = USUAL_TERMS,
    ) -> None:
        self._brokers = brokers
        self._webhook = webhook
        self._outcomes = outcomes
        self._clock = clock
        self._measurements = measurements
        self._tracer = tracer
        self._waiting: dict[float, list[HeldOccurrence]] = {}
        self._instants: list[float] = []
        self._ready = {name: deque[HeldOccurrence]() for name in brokers}
        self._is_ready = {name: asyncio.Event() for name in brokers}
        self._circuits = Circuits(clock, measurements, circuit_terms)
        self._http = HttpLanes(http_slots, self._deliver_one, self.refuse, self._circuits, most_webhooks_waiting)
        self._open: dict[UUID, HeldOccurrence] = {}
        self._being_sent = 0
        self._asking, self._refused = _Waiting(), _Waiting()

    @property
    def open_count(self) -> int:
        """How many occurrences this dispatcher has on its hands: waiting, being sent, or not recorded yet."""
        return len(self._open) + self._outcomes.open_count

    @property
    def is_bursting(self) -> bool:
        """True while more is due than fits in the sends that are under way: recording can wait a moment."""
        return any(len(ready) > LARGEST_SEND for ready in self._ready.values())

    @property
    def is_calm(self) -> bool:
        """True when brokers have answered all but what one send holds: a burst is over, not only on its way."""
        return self._being_sent <= LARGEST_SEND

    def open(self) -> list[HeldOccurrence]:
        return list(self._open.values())

    def hold(self, held: Iterable[HeldOccurrence]) -> None:
        """Take claimed occurrences; each waits for its instant.

        Some are here already under an older lease: a schedule that is planned anew brings an occurrence back, perhaps
        before the revocation of the old one was obeyed, and a lease may run out while the database cannot be told what
        came of it. Of these, what was started is not started again, its outcome goes by the newer lease; and what was
        not started is dropped for what was claimed now.

        What waits for the same instant waits together: a herd then costs one step of the heap, not one each.
        """
        for item in self._not_attempted(held):
            self._open[item.claimed.id] = item
            together = self._waiting.get(item.fire_at)
            if together is None:
                self._waiting[item.fire_at] = [item]
                heapq.heappush(self._instants, item.fire_at)
            else:
                together.append(item)

    def end_claimed(self, ended: Iterable[Ended]) -> None:
        """Take what was claimed and ended without an attempt, but for what an older lease was attempted under here.

        The outcome of that, which waits to be written or is still to come, goes by the newer lease: it is the truth.
        """
        self._outcomes.add_ended(list(self._not_attempted(ended)))

    def start_due(self) -> float | None:
        """Move what is due to its lane; return the seconds until the next is, or None if nothing waits.

        A herd is moved in slices, 0 seconds apart, so that its first are on their way while its last are moved.
        """
        now = self._clock.now().timestamp()
        while self._instants and self._instants[0] <= now:
            together = self._waiting[self._instants[0]]
            for item in together[:_SLICE]:
                if item.gate is None:
                    self.start(item)
                else:
                    self.ask((item,))
            if len(together) > _SLICE:
                self._waiting[self._instants[0]] = together[_SLICE:]
                return 0
            del self._waiting[heapq.heappop(self._instants)]
        return self._instants[0] - now if self._instants else None

    def start(self, item: HeldOccurrence) -> None:
        """Put what is due on its lane, unless it was let go of; what finds no place there is refused."""
        if item.stage is not Stage.HELD:
            return
        ready = self._ready.get(item.lane)
        if ready is None:
            if not self._http.add(item):
                self.refuse((item,))
            return
        ready.append(item)
        self._is_ready[item.lane].set()

    def ask(self, items: Iterable[HeldOccurrence]) -> None:
        """Keep what is due, and asks before it starts, for `next_asking`."""
        self._asking.add(items)

    async def next_asking(self, most: int) -> list[HeldOccurrence]:
        """Wait for what asks, and take it; what was let go of meanwhile is left out."""
        return await self._asking.take(most)

    def refuse(self, items: Iterable[HeldOccurrence]) -> None:
        """Keep what is due and found no place on its lane, or whose circuit is open, for `next_refused`."""
        self._refused.add(items)

    async def next_refused(self, most: int) -> list[HeldOccurrence]:
        """Wait for what was refused, and take it; it stays on our hands until it is let go of."""
        return await self._refused.take(most)

    def circuit_wait(self, item: HeldOccurrence) -> timedelta | None:
        """Return how long its circuit has it wait; None where that is closed."""
        return self._circuits.wait((item.claimed.tenant_id, item.lane))

    def take_circuit_changes(self) -> list[CircuitChange]:
        """Return, once each, which circuits opened and which closed; what is of no use any more is forgotten."""
        self._circuits.forget_idle()
        return self._circuits.take_changes()

    def end_unattempted(
        self, item: HeldOccurrence, status: str, reason: str | None, at: datetime, error: str | None = None
    ) -> None:
        """Let go of it, unless that was done already, and end it without an attempt."""
        if self.let_go((item,)):
            self._outcomes.add_ended([held_ended_unattempted(item, status, reason, at, error)])

    def end(self, item: HeldOccurrence, outcome: Outcome, fired_at: datetime, ended_at: datetime) -> None:
        """Take the outcome of an attempt that was made earlier, perhaps elsewhere, and ends only now."""
        self._ended((item,), (outcome,), fired_at, max((ended_at - fired_at).total_seconds(), 0.0))

    async def broker_step(self, lane: str) -> int:
        """Send one batch of a broker's lane, waiting for work if there is none; return how many were sent."""
        await self._is_ready[lane].wait()
        batch = self._started(self._next_batch(lane))
        if batch:
            await self._deliver_batch(self._brokers[lane], batch)
        return len(batch)

    def let_go(self, chosen: Iterable[HeldOccurrence]) -> list[HeldOccurrence]:
        """Drop those of `chosen` that were not started; return them, so that their leases can be given back."""
        dropped = [item for item in chosen if item.stage is Stage.HELD]
        for item in dropped:
            item.stage = Stage.DROPPED
            self._close(item)
        return dropped

    async def finish(self) -> None:
        """Wait until every started attempt has ended."""
        while any(item.stage is Stage.STARTED for item in self._open.values()):
            await asyncio.sleep(0.005)

    def _not_attempted(self, leased: Iterable[Leased]) -> Iterator[Leased]:
        """Yield what is not attempted here under an older lease, or was; what is goes on under the newer."""
        for item in self._outcomes.without_waiting(leased):
            older = self._open.get(item.claimed.id)
            if older is None or not self._goes_on(older, item.claimed):
                yield item

    def _goes_on(self, older: HeldOccurrence, claimed: Claimed) -> bool:
        """Say whether it was started, and goes on under the newer lease; if not, it is dropped."""
        if older.stage is not Stage.STARTED:
            self.let_go((older,))
            return False
        # What it is delivered to is still what it was claimed with, whatever an edit has made of that.
        older.claimed = replace(claimed, schedule_revision=older.claimed.schedule_revision)
        return True

    def _next_batch(self, lane: str) -> list[HeldOccurrence]:
        ready = self._ready[lane]
        batch = [ready.popleft() for _ in range(min(LARGEST_SEND, len(ready)))]
        if not ready:
            self._is_ready[lane].clear()
        return batch

    def _started(self, batch: Sequence[HeldOccurrence]) -> list[HeldOccurrence]:
        """Mark what may still be started; a lease that may have run out is left for whoever claims it next."""
        now = self._clock.monotonic()
        started = []
        for item in batch:
            if item.stage is not Stage.HELD:
                continue
            if item.lease_ends <= now:
                item.stage = Stage.DROPPED
                self._close(item)
                continue
            item.stage = Stage.STARTED
            started.append(item)
        return started

    def _close(self, item: HeldOccurrence) -> None:
        """Take it off our hands; a newer lease of the same occurrence stays."""
        if self._open.get(item.claimed.id) is item:
            del self._open[item.claimed.id]

    async def _deliver_batch(self, sender: BrokerSender, batch: Sequence[HeldOccurrence]) -> None:
        fired_at = self._clock.now()
        began = self._clock.monotonic()
        self._being_sent += len(batch)
        try:
            with self._tracer.step("deliver") as traced:
                traced.handled(len(batch))
                outcomes = await sender.send([item.message for item in batch], fired_at_text(fired_at))
        finally:
            self._being_sent -= len(batch)
        self._ended(batch, outcomes, fired_at, self._clock.monotonic() - began)

    async def _deliver_one(self, item: HeldOccurrence) -> Outcome | None:
        if not self._started((item,)):
            return None
        fired_at = self._clock.now()
        began = self._clock.monotonic()
        outcome = await self._webhook.send(item.message, fired_at_text(fired_at))
        self._ended((item,), (outcome,), fired_at, self._clock.monotonic() - began)
        return outcome

    def _ended(
        self, batch: Sequence[HeldOccurrence], outcomes: Sequence[Outcome], fired_at: datetime, seconds: float
    ) -> None:
        self._outcomes.add(batch, outcomes, fired_at.astimezone(UTC), seconds)
        for item in batch:
            self._close(item)
        if self._tracer.listens:
            self._tracer.attempts(
                [_traced(item, outcome, fired_at, seconds) for item, outcome in zip(batch, outcomes, strict=True)]
            )
        fired = fired_at.timestamp()
        self._measurements.fired([fired - item.late_from for item in batch if not item.claimed.was_tried])
        if len(batch) == 1:  # one webhook, for which counting would be most of the cost
            self._measurements.delivered(batch[0].target_kind, _word_for(type(outcomes[0])), [seconds])
            return
        counts = Counter((item.target_kind, type(outcome)) for item, outcome in zip(batch, outcomes, strict=True))
        for (target, outcome_type), number in counts.items():
            self._measurements.delivered(target, _word_for(outcome_type), [seconds] * number)


class _Waiting:
    """What is due and waits for a loop of its own to decide about it."""

    def __init__(self) -> None:
        self._items: deque[HeldOccurrence] = deque()
        self._is_there = asyncio.Event()

    def add(self, items: Iterable[HeldOccurrence]) -> None:
        self._items.extend(items)
        self._is_there.set()

    async def take(self, most: int) -> list[HeldOccurrence]:
        """Wait for some, and take them; what was let go of meanwhile is left out."""
        await self._is_there.wait()
        taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        if not self._items:
            self._is_there.clear()
        return [item for item in taken if item.stage is Stage.HELD]


@cache
def _word_for(outcome: type[Outcome]) -> str:
    return outcome.__name__.lower()


def _traced(item: HeldOccurrence, outcome: Outcome, fired_at: datetime, seconds: float) -> TracedAttempt:
    claimed = item.claimed
    return TracedAttempt(
        claimed.tenant_id,
        claimed.schedule_id,
        claimed.id,
        claimed.attempt_count + 1,
        item.target_kind,
        _word_for(type(outcome)),
        None if isinstance(outcome, Delivered | Accepted) else outcome.error,
        fired_at,
        fired_at + timedelta(seconds=seconds),
    )
