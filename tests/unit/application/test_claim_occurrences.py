"""Where in the queue a claim looks, and what becomes of what it leased when it cannot hand it on."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.claim_occurrences import ROWS_PER_CLAIM, ClaimOccurrences
from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.misfire import Absence
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.set_clock import SetClock
from tests.support.stored import definition

DUE = datetime(2026, 11, 23, 9, tzinfo=UTC)
HEAD = None
FEW = 5


class Queue:
    """A due queue of which every claim is full, unless told otherwise; keeps from where each was made."""

    def __init__(self) -> None:
        self.is_empty = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.claimed_from: list[float | None] = []
        self.claimed: list[Claimed] = []
        self.released: list[Claimed] = []
        self.is_hearing = True

    async def claim(self, limit: int, _: timedelta, from_tag: float | None) -> Sequence[Claimed]:
        self.claimed_from.append(from_tag)
        await self.may_answer.wait()
        first = len(self.claimed)
        batch = [] if self.is_empty else [occurrence(number) for number in range(first, first + limit)]
        self.claimed += batch
        return batch

    async def overtaken(self, *_: object) -> set[UUID]:
        self.may_answer.set()
        raise ConnectionError

    async def release(self, claimed: Sequence[Claimed]) -> None:
        if not self.is_hearing:
            raise ConnectionError
        self.released += claimed

    async def forget(self, claimed: Sequence[Claimed]) -> None:
        raise NotImplementedError

    async def renew(self, claimed: Sequence[Claimed]) -> Mapping[UUID, str]:
        raise NotImplementedError

    async def record_delivered(self, deliveries: Sequence[DeliveredTogether]) -> int:
        raise NotImplementedError

    async def record_ended(self, ended: Sequence[Ended]) -> int:
        raise NotImplementedError

    async def record_postponed(self, postponed: Sequence[Postponed]) -> int:
        raise NotImplementedError


def occurrence(number: int) -> Claimed:
    """Return an occurrence whose schedule was deleted: it ends without being prepared."""
    return Claimed(
        tenant_id="acme",
        schedule_id=UUID(int=1),
        id=UUID(int=number),
        kind="MANUAL",
        revision=1,
        scheduled_for=DUE.timestamp(),
        due_at=DUE.timestamp(),
        start_tag=DUE.timestamp() + number,
        lease_token=1,
        attempt_count=0,
        was_tried=False,
        is_last=False,
        place="(0,1)",
        schedule_revision=None,
        schedule_state=None,
        definition=None,
    )


class QueueOfMissed(Queue):
    """One of occurrences that were missed while no dispatcher lived. It cannot tell which of them are the latest."""

    async def claim(self, limit: int, ahead: timedelta, from_tag: float | None) -> Sequence[Claimed]:
        claimed = await super().claim(limit, ahead, from_tag)
        self.may_answer.clear()  # the next claim is under way for as long as this one is judged
        for item in claimed:
            item.kind, item.schedule_revision, item.schedule_state = "SCHEDULED", 1, "ACTIVE"
            item.definition = msgspec.json.encode(definition()).decode()
        return claimed


def claim_from(queue: Queue, clock: SetClock) -> ClaimOccurrences:
    return ClaimOccurrences(queue, {}, clock, PrometheusMeasurements(CollectorRegistry()), UNTRACED)


async def walk(claim: ClaimOccurrences, room: int = FEW, absence: Absence | None = None) -> None:
    async for _ in claim.walk(room, lambda: True, absence):
        pass


async def test_a_walk_goes_on_from_where_the_last_claim_ended() -> None:
    queue = Queue()
    claim = claim_from(queue, SetClock(DUE))
    await walk(claim)
    await walk(claim)
    assert queue.claimed_from == [HEAD, queue.claimed[FEW - 1].start_tag]


async def test_a_look_that_is_asked_for_while_a_claim_is_under_way_comes_after_it() -> None:
    queue, clock = Queue(), SetClock(DUE)
    claim = claim_from(queue, clock)
    await walk(claim)
    queue.may_answer.clear()
    walking = asyncio.create_task(walk(claim))
    while len(queue.claimed_from) < 2:
        await asyncio.sleep(0)
    claim.look_at_everything()
    queue.may_answer.set()
    await walking
    assert claim.is_on_its_way
    clock.seconds = 0.25
    await walk(claim)
    await walk(claim)
    assert [tag is HEAD for tag in queue.claimed_from] == [True, False, True, False]


async def test_looks_that_are_asked_for_all_the_time_let_the_walk_get_on() -> None:
    queue, clock = Queue(), SetClock(DUE)
    claim = claim_from(queue, clock)
    for clock.seconds in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        claim.look_at_everything()
        await walk(claim)
    assert [tag is HEAD for tag in queue.claimed_from] == [True, False, False, True, False, False, True]


async def test_a_look_that_is_asked_for_when_the_walk_is_over_is_the_next_claim() -> None:
    queue = Queue()
    queue.is_empty = True
    claim = claim_from(queue, SetClock(DUE))
    await walk(claim)
    claim.look_at_everything()
    await walk(claim)
    assert queue.claimed_from == [HEAD, HEAD]


async def test_a_walk_that_never_ends_looks_at_everything_once_a_second() -> None:
    queue, clock = Queue(), SetClock(DUE)
    claim = claim_from(queue, clock)
    for clock.seconds in (0.0, 0.5, 0.9, 1.0, 1.5, 2.0):
        await walk(claim)
    assert [tag is HEAD for tag in queue.claimed_from] == [True, False, False, True, False, True]


ALL_DAY = Absence(DUE.timestamp() - 60, DUE.timestamp() + 86_400)


async def test_a_walk_that_fails_gives_back_what_it_leased_also_what_it_was_just_leasing() -> None:
    queue = QueueOfMissed()
    claim = claim_from(queue, SetClock(DUE))
    with pytest.raises(ConnectionError):
        await walk(claim, ROWS_PER_CLAIM + FEW, ALL_DAY)
    assert len(queue.claimed_from) == 2
    assert not claim.is_on_its_way
    await claim.let_go()
    assert {item.id for item in queue.released} == {item.id for item in queue.claimed}
    assert len(queue.released) == ROWS_PER_CLAIM + FEW


async def test_what_cannot_be_given_back_is_given_back_the_next_time() -> None:
    queue = QueueOfMissed()
    claim = claim_from(queue, SetClock(DUE))
    with pytest.raises(ConnectionError):
        await walk(claim, absence=ALL_DAY)
    queue.is_hearing = False
    with pytest.raises(ConnectionError):
        await claim.let_go()
    queue.is_hearing = True
    await claim.let_go()
    await claim.let_go()
    assert [item.id for item in queue.released] == [item.id for item in queue.claimed]


async def test_a_walk_that_is_left_gives_back_what_it_was_just_leasing_and_nothing_that_it_handed_on() -> None:
    queue = Queue()
    claim = claim_from(queue, SetClock(DUE))
    async with aclosing(claim.walk(ROWS_PER_CLAIM + FEW, lambda: True)) as walking:
        _, handed_on = await anext(walking)
    await claim.let_go()
    given_back = {item.id for item in queue.released}
    assert len(given_back) == FEW
    assert not given_back & {end.claimed.id for end in handed_on}


async def test_a_walk_that_is_cancelled_while_its_last_batch_is_under_way_has_nothing_to_give_back() -> None:
    queue = Queue()
    claim = claim_from(queue, SetClock(DUE))
    queue.may_answer.clear()
    walking = asyncio.create_task(walk(claim))
    while not queue.claimed_from:
        await asyncio.sleep(0)
    walking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walking
    await claim.let_go()
    assert queue.released == []
