"""What finds no place in its lane is put off: given back, in a line, and never lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence, Stage
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.put_off_occurrences import MOST_AT_ONCE, RETURNS_PER_SECOND, PutOffOccurrences
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.domain.outcome import Outcome, Unreachable
from scheduler_domain.domain.schedule import Retry
from tests.simulation.measurements import Unmeasured
from tests.simulation.memory.due_queue import MemoryDueQueue
from tests.simulation.memory.tables import Tables

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SLOTS = 4
FOR_LONG = 1e9


class StandingClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


class Queue(MemoryDueQueue):
    """Keeps what it was told to put off, or is away."""

    def __init__(self) -> None:
        super().__init__(Tables(lambda: NOW), 1)
        self.is_away = False
        self.put_off_waits: dict[UUID, timedelta] = {}

    async def put_off(self, claimed: Sequence[Claimed], waits: Sequence[timedelta]) -> None:
        if self.is_away:
            raise ConnectionError
        self.put_off_waits |= {item.id: wait for item, wait in zip(claimed, waits, strict=True)}


class Hanging:
    """A webhook that takes every request and answers once it is let."""

    def __init__(self) -> None:
        self.sent_count = 0
        self.may_answer = asyncio.Event()

    async def send(self, _: object, __: bytes) -> Outcome:
        self.sent_count += 1
        await self.may_answer.wait()
        return Unreachable("it hung")


class Dispatching:
    """What a dispatcher is made of, where `most_waiting` webhooks may wait."""

    def __init__(self, webhook: Hanging, most_waiting: int) -> None:
        self.clock = StandingClock()
        self.queue = Queue()
        measurements = Unmeasured()
        outcomes = RecordOutcomes(self.queue, measurements, UNTRACED)
        self.deliver = DeliverOccurrences(
            {}, webhook, outcomes, self.clock, measurements, UNTRACED, SLOTS, most_webhooks_waiting=most_waiting
        )
        self.put_off = PutOffOccurrences(self.queue, self.deliver, self.clock, measurements)

    def fire(self, items: Sequence[HeldOccurrence]) -> None:
        self.deliver.hold(items)
        self.deliver.start_due()


@pytest.fixture
async def webhook() -> AsyncIterator[Hanging]:
    made = Hanging()
    yield made
    made.may_answer.set()
    while asyncio.all_tasks() - {asyncio.current_task()}:  # each that ends lets the next of its lane start
        await asyncio.sleep(0)


def held(number: int, tenant_id: str = "hanging", *, late: float = 0, was_tried: bool = False) -> HeldOccurrence:
    due = NOW.timestamp() - late
    ids = (UUID(int=1), UUID(int=number))
    claimed = Claimed(
        tenant_id,
        *ids,
        "SCHEDULED",
        1,
        NOW.timestamp(),
        due,
        due,
        1,
        int(was_tried),
        was_tried,
        False,
        "(0,1)",
        1,
        "ACTIVE",
        None,
    )
    lane = f"https://{number % 7}.example"
    return HeldOccurrence(claimed, None, lane, "HTTP", Retry(), None, fire_at=due, lease_ends=FOR_LONG)


async def test_a_backlog_of_one_tenant_never_fills_the_hands_and_nothing_of_it_is_lost(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=1_000)
    for first in range(0, 10_000, 1_000):
        dispatching.fire([held(first + number) for number in range(1_000)])
        await dispatching.put_off.step()
        assert dispatching.deliver.open_count <= 1_000 // 5 + SLOTS
    in_hand = {item.claimed.id.int for item in dispatching.deliver.open()}
    put_off = {id_.int for id_ in dispatching.queue.put_off_waits}
    assert put_off | in_hand == set(range(10_000))
    assert not put_off & in_hand


async def test_what_is_put_off_comes_back_in_a_line_whatever_the_backlog(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    dispatching.fire([held(number) for number in range(MOST_AT_ONCE * 2)])
    await dispatching.put_off.step()
    await dispatching.put_off.step()
    waits = [wait.total_seconds() for wait in dispatching.queue.put_off_waits.values()]
    assert waits[0] == 2
    assert all(after - before == pytest.approx(1 / RETURNS_PER_SECOND, abs=1e-5) for before, after in pairwise(waits))


async def test_tenants_share_the_pace_at_which_they_come_back(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    tenants = ("a", "b", "c", "d")
    dispatching.fire([held(number, tenants[number % 4]) for number in range(MOST_AT_ONCE)])
    await dispatching.put_off.step()
    waits = [wait.total_seconds() for wait in dispatching.queue.put_off_waits.values()]
    assert max(waits) - min(waits) == pytest.approx(len(waits) / RETURNS_PER_SECOND, rel=0.05)


@pytest.mark.parametrize(("late", "wait"), [(0, 2), (4, 2), (60, 15), (3_600, 60)])
async def test_the_wait_grows_with_the_lateness_within_bounds(webhook: Hanging, late: float, wait: float) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    dispatching.fire([held(number, late=late) for number in range(SLOTS + 2)])
    await dispatching.put_off.step()
    assert min(dispatching.queue.put_off_waits.values()) == timedelta(seconds=wait)


async def test_a_retry_is_put_off_like_a_first_attempt(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    items = [held(number, was_tried=True) for number in range(SLOTS + 2)]
    dispatching.fire(items)
    assert await dispatching.put_off.step() == len(items) - len(dispatching.deliver.open())
    assert dispatching.queue.put_off_waits


async def test_what_cannot_be_put_off_stays_in_hand_until_it_can(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    items = [held(number) for number in range(SLOTS + 5)]
    dispatching.fire(items)
    dispatching.queue.is_away = True
    with pytest.raises(ConnectionError):
        await dispatching.put_off.step()
    assert len(dispatching.deliver.open()) == len(items)
    dispatching.queue.is_away = False
    assert await dispatching.put_off.step() > 0
    assert len(dispatching.deliver.open()) + len(dispatching.queue.put_off_waits) == len(items)


async def test_what_is_let_go_of_before_it_is_put_off_is_left_to_whoever_let_it_go(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    dispatching.fire([held(number) for number in range(SLOTS + 5)])
    released = dispatching.deliver.let_go(dispatching.deliver.open())
    assert {item.stage for item in released} == {Stage.DROPPED}
    assert await dispatching.put_off.step() == 0
    assert dispatching.queue.put_off_waits == {}


async def test_what_is_claimed_again_while_it_is_refused_goes_by_its_newer_lease(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    items = [held(number) for number in range(SLOTS + 5)]
    dispatching.fire(items)
    again = held(SLOTS + 4)
    again.claimed = replace(again.claimed, lease_token=2)
    dispatching.deliver.hold([again])
    await dispatching.put_off.step()
    assert again.claimed.id not in dispatching.queue.put_off_waits
    assert dispatching.deliver.open()[-1] is again


async def test_a_tenant_with_a_backlog_leaves_the_webhooks_of_others_where_they_are(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=100)
    dispatching.fire([held(number) for number in range(500)])
    neighbour = held(1_000, "neighbour")
    dispatching.fire([neighbour])
    await dispatching.put_off.step()
    await asyncio.sleep(0)
    assert neighbour.claimed.id not in dispatching.queue.put_off_waits
    assert neighbour.stage is Stage.STARTED
