"""Claim: lease what is due within the next seconds and encode it, so that at its instant it only has to be sent."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from scheduler_domain.application.batch_size import BatchSize
from scheduler_domain.application.held_occurrence import (
    DeliveryTerms,
    HeldOccurrence,
    chain_delay_sec,
    ended_unattempted,
    gate_of,
    may_await_callback,
)
from scheduler_domain.application.judge_misfires import Missed, judge_misfires, was_missed
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.delivery import BrokerSender
from scheduler_domain.application.ports.due_queue import Claimed, DueQueue, Ended
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.application.prepare_delivery import delivery_of, fire_at, lane_of
from scheduler_domain.domain import lease
from scheduler_domain.domain.misfire import Absence
from scheduler_domain.domain.occurrence import OccurrenceKind, Status
from scheduler_domain.domain.schedule import ScheduleState
from scheduler_domain.domain.target import target_kind
from scheduler_domain.domain.withdrawal import Ending, leaves_no_trace

CLAIM_AHEAD = timedelta(seconds=4)
ROWS_PER_CLAIM = 1_000
_LONGEST_WALK = 8
_LOOK_WHEN_ASKED_SEC, _LOOK_SEC = 0.25, 1.0
_ACTIVE = ScheduleState.ACTIVE.value  # of an enum member each look-up costs as much as all else that is asked
_SLICE = 100  # encoding shares the loop with firing
_decode_terms = msgspec.json.Decoder(DeliveryTerms).decode
_Leased = tuple[Sequence[Claimed], float]


class ClaimOccurrences:
    """One dispatcher's claims: walks the queue in start-tag order, over and over.

    A walk through a herd goes on from where the last claim ended, for a look from the head passes by all that is leased
    already. What becomes due behind it (a run by hand, a short retry, a callback, what a lost peer had leased) is found
    all the same: a second after the last such look the next claim is one, and after a quarter of a second where
    `look_at_everything` asked for it. A walk that is not on its way always begins at the head.
    """

    def __init__(
        self,
        queue: DueQueue,
        brokers: Mapping[str, BrokerSender],
        clock: Clock,
        measurements: Measurements,
        tracer: Tracer,
        lease_length: timedelta = lease.LENGTH,
    ) -> None:
        self._queue = queue
        self._brokers = brokers
        self._clock = clock
        self._measurements = measurements
        self._tracer = tracer
        self._trusted_for = (lease_length - lease.MARGIN).total_seconds()
        self._size = BatchSize(ROWS_PER_CLAIM, clock)
        self._from_tag: float | None = None
        self._looked_at = -math.inf
        self._is_look_asked_for = False
        self._unexpected: list[Claimed] = []
        self._returned: list[Claimed] = []
        self._unreadable: list[tuple[Claimed, str]] = []

    @property
    def is_on_its_way(self) -> bool:
        """True while the last claim was full: more may wait behind it."""
        return self._from_tag is not None

    def look_at_everything(self) -> None:
        """Claim from the head of the queue soon: something may have become due behind this walk.

        Also while a claim is under way, which may have passed by already: it does not count as the look.
        """
        self._is_look_asked_for = True

    async def walk(
        self, room: int, goes_on: Callable[[], bool], absence: Absence | None = None
    ) -> AsyncGenerator[tuple[list[HeldOccurrence], list[Ended]], None]:
        """Claim up to `room`; yield what to deliver, and what ended: its schedule is no longer due, or missed it.

        Or it cannot be prepared, and ended as FAILED with what is wrong with it: it must not stop its neighbours.

        While one batch is prepared the database leases the next. A batch that is not full ends the walk, and the next
        walk looks at everything again; `_LONGEST_WALK` batches end it too, so that others get the lock around it, and
        the next goes on from there. Where a walk fails, or is closed, `let_go` gives back what it leased and did not
        yield: rows that only stayed leased would come back together, and fail together.
        """
        leasing = asyncio.create_task(self._leased(room))
        following: asyncio.Task[_Leased] | None = leasing
        claimed: Sequence[Claimed] = ()
        try:
            for batches_left in reversed(range(_LONGEST_WALK)):
                claimed, lease_ends = await leasing
                following = None
                room -= len(claimed)
                if self.is_on_its_way and room > 0 and batches_left > 0 and goes_on():
                    leasing = following = asyncio.create_task(self._leased(room))
                if claimed:
                    batch = await self._prepared(claimed, lease_ends, absence)
                    claimed = ()
                    yield batch
                if following is None:
                    return
        except BaseException:
            await self._take_back(claimed, following)
            raise

    async def _leased(self, room: int) -> _Leased:
        """Lease one batch; return it with the monotonic instant until which its leases are trusted."""
        limit = min(room, self._size.rows)
        asked_at = self._clock.monotonic()
        with self._size.measured() as done:
            claimed = await self._queue.claim(limit, CLAIM_AHEAD, self._next_from(asked_at))
            done(len(claimed))
        self._from_tag = claimed[-1].start_tag if len(claimed) == limit else None
        return claimed, asked_at + self._trusted_for

    def _next_from(self, now: float) -> float | None:
        """Return the tag to claim from, None for the head of the queue; `now` is monotonic."""
        rests = _LOOK_WHEN_ASKED_SEC if self._is_look_asked_for else _LOOK_SEC
        if self._from_tag is not None and now < self._looked_at + rests:
            return self._from_tag
        self._looked_at, self._is_look_asked_for = now, False
        return None

    async def _take_back(self, claimed: Sequence[Claimed], leasing: asyncio.Task[_Leased] | None) -> None:
        """Keep for `let_go` what is leased and goes to nobody, once the leasing that is under way has ended."""
        self._returned += claimed
        if leasing is not None:
            await asyncio.wait((leasing,))
            if not leasing.cancelled() and leasing.exception() is None:
                self._returned += leasing.result()[0]
        self._from_tag = None  # all of it waits behind where this walk has come to

    async def let_go(self) -> None:
        """Take out of the queue what was withdrawn ahead of its instant, and give back what is not for us to hold.

        That is what cannot be judged yet, and what a walk that failed had leased. Apart from `walk`, because what it
        yielded has to be held whether this succeeds or not. What an error kept from being written is written the next
        time, or found by another claim once its lease has run out.
        """
        if self._unexpected:
            await self._queue.forget(self._unexpected)
            self._unexpected = []
        if self._returned:
            await self._queue.release(self._returned)
            self._returned = []

    def take_unreadable(self) -> list[tuple[Claimed, str]]:
        """Return, once, what was claimed and cannot be read, and why: it is left to its lease.

        A newer release stored it, whose dispatchers may run beside this one and claim it then.
        """
        taken, self._unreadable = self._unreadable, []
        return taken

    async def _prepared(
        self, claimed: Sequence[Claimed], lease_ends: float, absence: Absence | None
    ) -> tuple[list[HeldOccurrence], list[Ended]]:
        self._measurements.claimed(len(claimed))
        with self._tracer.step("claim") as step:
            step.handled(len(claimed))
            return await self._encoded(claimed, lease_ends, absence)

    async def _encoded(
        self, claimed: Sequence[Claimed], lease_ends: float, absence: Absence | None
    ) -> tuple[list[HeldOccurrence], list[Ended]]:
        held: list[HeldOccurrence] = []
        ended: list[Ended] = []
        missed: list[Missed] = []
        for position, (item, terms) in enumerate(self._read(claimed)):
            reason = Ending.DELETED if terms is None else _why_not(item)
            if terms is not None and reason is None and absence is not None and was_missed(item, absence):
                missed.append((item, terms))
            elif terms is not None and (reason is None or may_await_callback(item, terms)):
                self._prepare(held, ended, item, terms, lease_ends, reason)
            elif _is_read_too_early(item):
                self._returned.append(item)
            elif leaves_no_trace(item.kind, item.was_tried, item.instant, self._clock.now()):
                self._unexpected.append(item)
            else:
                ended.append(_withdrawn(item, terms, reason, self._clock.now()))
            if position % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        if missed and absence is not None:
            fires, skipped = await judge_misfires(missed, self._queue, absence, self._clock.now())
            for item, terms in fires:
                self._prepare(held, ended, item, terms, lease_ends, None)
            ended += skipped
        return held, ended

    def _read(self, claimed: Sequence[Claimed]) -> Iterator[tuple[Claimed, DeliveryTerms | None]]:
        """Decode each definition, None of a schedule that is gone; leave out what only a newer release can read."""
        for item in claimed:
            try:
                terms = None if item.definition is None else _decode_terms(item.definition)
            except msgspec.DecodeError as error:
                self._unreadable.append((item, str(error)))
                continue
            item.definition = None
            yield item, terms

    def _prepare(
        self,
        held: list[HeldOccurrence],
        ended: list[Ended],
        item: Claimed,
        terms: DeliveryTerms,
        lease_ends: float,
        withdrawn_for: str | None,
    ) -> None:
        """Add it to what is held; or, where it can never be sent as its schedule stands, to what ended."""
        try:
            held.append(self._hold(item, terms, lease_ends, withdrawn_for))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one row, its neighbours go out
            if _is_read_too_early(item):
                self._returned.append(item)
            else:
                problem = f"cannot be prepared for delivery: {type(error).__name__}: {error}"
                ended.append(ended_unattempted(item, terms, Status.FAILED, "refused", self._clock.now(), problem))

    def _hold(
        self, claimed: Claimed, terms: DeliveryTerms, lease_ends: float, withdrawn_for: str | None
    ) -> HeldOccurrence:
        delivery = delivery_of(claimed, terms, is_recorded=self._tracer.listens)
        lane = lane_of(terms.target)
        broker = self._brokers.get(lane)
        return HeldOccurrence(
            claimed,
            delivery if broker is None else broker.prepare(delivery),
            lane,
            target_kind(terms.target),
            terms.retry,
            chain_delay_sec(claimed, terms),
            fire_at=fire_at(claimed),
            lease_ends=lease_ends,
            gate=gate_of(claimed, terms, withdrawn_for),
        )


def _why_not(claimed: Claimed) -> Ending | None:
    """Return why a claimed row of a schedule that exists is not to be delivered any more, or None.

    What was asked for since a pause comes with an active schedule (claim_occurrences.sql).
    """
    if claimed.schedule_state == _ACTIVE and claimed.revision == claimed.schedule_revision:
        return None
    if claimed.kind == OccurrenceKind.MANUAL:
        return None
    if claimed.schedule_state == ScheduleState.PAUSED:
        return Ending.PAUSED
    if claimed.schedule_state == ScheduleState.DISABLED:
        return Ending.DISABLED
    if claimed.revision != claimed.schedule_revision and not claimed.was_tried:
        return Ending.REPLANNED
    return None


def _is_read_too_early(claimed: Claimed) -> bool:
    """Tell a row that an edit has changed since this claim read its schedule: the one is of after it, the other before.

    A statement sees what was committed when it began, but locks a row as it is by then.
    """
    return claimed.schedule_revision is not None and claimed.revision > claimed.schedule_revision


def _withdrawn(claimed: Claimed, terms: DeliveryTerms | None, reason: Ending | None, now: datetime) -> Ended:
    assert reason is not None  # what may fire is prepared, not ended
    if terms is None:  # the schedule is gone, and with it all that the end of an occurrence could move
        return Ended(claimed, Status.CANCELLED, reason, claimed.attempt_count, None, now, None, "NONE")
    return ended_unattempted(claimed, terms, Status.CANCELLED, reason, now)
