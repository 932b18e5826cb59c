"""What finds no place in its lane is put off: given back, in a line, and never lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence, Stage
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.put_off_occurrences import MOST_AT_ONCE, RETURNS_PER_SECOND, PutOffOccurrences, _Lines
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.domain.circuit import CircuitTerms
from scheduler_domain.domain.outcome import Delivered, Outcome, Unreachable
from scheduler_domain.domain.schedule import Retry
from tests.simulation.measurements import Unmeasured
from tests.simulation.memory.due_queue import MemoryDueQueue
from tests.simulation.memory.tables import Tables
from tests.support.set_clock import SetClock

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SLOTS = 4
FOR_LONG = 1e9


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
        self.outcome: Outcome = Unreachable("it hung")

    async def send(self, _: object, __: bytes) -> Outcome:
        self.sent_count += 1
        await self.may_answer.wait()
        return self.outcome


class Dispatching:
    """What a dispatcher is made of, where `most_waiting` webhooks may wait."""

    def __init__(self, webhook: Hanging, most_waiting: int) -> None:
        self.clock = SetClock(NOW)
        self.queue = Queue()
        measurements = Unmeasured()
        self.outcomes = RecordOutcomes(self.queue, self.clock, measurements, UNTRACED)
        self.deliver = DeliverOccurrences(
            {}, webhook, self.outcomes, self.clock, measurements, UNTRACED, SLOTS, most_webhooks_waiting=most_waiting
        )
        self.put_off = PutOffOccurrences(self.queue, self.deliver, self.clock, measurements)

    def fire(self, items: Sequence[HeldOccurrence]) -> None:
        self.deliver.hold(items)
        self.deliver.start_due()


@pytest.fixture
async def webhook() -> AsyncIterator[Hanging]:
    made = Hanging()
    of_others = asyncio.all_tasks()  # the loop is the whole session's
    yield made
    made.may_answer.set()
    while asyncio.all_tasks() - of_others - {asyncio.current_task()}:  # each that ends lets the next of its lane start
        await asyncio.sleep(0)


def held(
    number: int,
    tenant_id: str = "hanging",
    *,
    late: float = 0,
    was_tried: bool = False,
    lane: str | None = None,
    retry: Retry = Retry(),  # noqa: B008 - immutable
    chain_delay_sec: int | None = None,
) -> HeldOccurrence:
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
    lane = lane or f"https://{number % 7}.example"
    return HeldOccurrence(claimed, None, lane, "HTTP", retry, chain_delay_sec, fire_at=due, lease_ends=FOR_LONG)


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


AWAY = "https://away.example"
PROBE_AFTER = CircuitTerms().first_probe_after


def at_away(number: int, **terms: Any) -> HeldOccurrence:
    return held(number, lane=AWAY, **terms)


async def turning_until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until the condition holds; everything here takes a few turns and no time."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come about")


async def with_open_circuit(webhook: Hanging) -> Dispatching:
    """Return a dispatcher that has had ten failures in a row from one receiver, and none of it on its hands."""
    dispatching = Dispatching(webhook, most_waiting=1_000)
    webhook.may_answer.set()
    dispatching.fire([at_away(1_000_000 + number) for number in range(CircuitTerms().failures_in_a_row)])
    await turning_until(lambda: dispatching.deliver.circuit_wait(at_away(0)) is not None)
    assert dispatching.deliver.open() == []
    webhook.sent_count = 0
    return dispatching


def waits(dispatching: Dispatching) -> list[float]:
    return [wait.total_seconds() for wait in dispatching.queue.put_off_waits.values()]


def circuit_wait(dispatching: Dispatching) -> float:
    wait = dispatching.deliver.circuit_wait(at_away(0))
    assert wait is not None
    return wait.total_seconds()


async def test_behind_an_open_circuit_nothing_is_tried_and_all_come_back_from_the_probe_on(webhook: Hanging) -> None:
    dispatching = await with_open_circuit(webhook)
    dispatching.fire([at_away(number, late=500, was_tried=bool(number % 2)) for number in range(500)])
    await dispatching.put_off.step()
    dispatching.clock.seconds += PROBE_AFTER.total_seconds() / 2
    dispatching.fire([at_away(500 + number) for number in range(500)])
    await dispatching.put_off.step()
    first, later = waits(dispatching)[:500], waits(dispatching)[500:]
    returns = first + [wait + PROBE_AFTER.total_seconds() / 2 for wait in later]
    assert min(returns) >= PROBE_AFTER.total_seconds()
    assert max(returns) <= 1.1 * PROBE_AFTER.total_seconds() + 1
    assert max(returns) - min(returns) > 0.5
    assert webhook.sent_count == 0
    assert dispatching.outcomes.open_count == CircuitTerms().failures_in_a_row


async def test_a_probe_that_is_minutes_away_is_asked_after_each_minute(webhook: Hanging) -> None:
    dispatching = await with_open_circuit(webhook)
    for failed in (1, 2, 3):
        dispatching.clock.seconds += circuit_wait(dispatching) + 0.1
        dispatching.fire([at_away(failed)])
        doubled = PROBE_AFTER.total_seconds() * 2**failed
        await turning_until(lambda wait=doubled: circuit_wait(dispatching) >= wait)
    dispatching.fire([at_away(100 + number) for number in range(50)])
    await dispatching.put_off.step()
    assert 60 <= min(waits(dispatching)) <= max(waits(dispatching)) <= 61


def test_who_probes_is_left_to_chance_so_that_one_that_always_fails_does_not_keep_the_others_out() -> None:
    lines = _Lines()
    probes = set()
    for cycle in range(200):
        begins_at = 100.0 * cycle
        lines.forget_ended(begins_at)
        places = [lines.place("acme", AWAY, begins_at) for _ in range(20)]
        probes.add(places.index(min(places)))
    assert len(probes) > 5


def test_many_receivers_that_are_away_do_not_thin_out_what_a_neighbour_gets_back() -> None:
    lines = _Lines()
    for number in range(1_000):
        lines.place("many", f"https://{number}.example", 30.0)
    places = [lines.place("neighbour", None, 0.0) for _ in range(10)]
    assert places[-1] == pytest.approx(9 * 2 / RETURNS_PER_SECOND)


async def test_the_first_that_comes_back_is_the_probe_and_its_answer_lets_all_through(webhook: Hanging) -> None:
    dispatching = await with_open_circuit(webhook)
    webhook.may_answer.clear()
    webhook.outcome = Delivered(200)
    dispatching.clock.seconds += PROBE_AFTER.total_seconds() * 1.1
    dispatching.fire([at_away(number) for number in range(50)])
    await dispatching.put_off.step()
    await turning_until(lambda: webhook.sent_count == 1)
    assert len(waits(dispatching)) == 49
    assert 2 <= min(waits(dispatching)) <= max(waits(dispatching)) <= 3  # it may be well within a moment
    webhook.may_answer.set()
    await turning_until(lambda: dispatching.deliver.circuit_wait(at_away(0)) is None)
    dispatching.fire([at_away(100 + number) for number in range(50)])
    await turning_until(lambda: webhook.sent_count == 51)


async def test_a_probe_that_is_withdrawn_before_it_starts_is_replaced_by_the_next_that_comes(webhook: Hanging) -> None:
    dispatching = await with_open_circuit(webhook)
    dispatching.clock.seconds += PROBE_AFTER.total_seconds() * 1.1
    dispatching.fire([at_away(0)])
    dispatching.deliver.let_go(dispatching.deliver.open())
    for _ in range(3):  # its task begins, finds that it was let go of, and is done
        await asyncio.sleep(0)
    assert webhook.sent_count == 0
    dispatching.fire([at_away(1)])
    await turning_until(lambda: webhook.sent_count == 1)


@pytest.mark.parametrize("was_tried", [False, True])
async def test_what_an_open_circuit_keeps_out_until_its_age_is_over_ends_as_a_dead_letter(
    webhook: Hanging, was_tried: bool
) -> None:
    dispatching = await with_open_circuit(webhook)
    await dispatching.outcomes.step()
    retry = Retry(max_age_sec=10)
    young, old = (at_away(number, retry=retry, late=late, was_tried=was_tried) for number, late in ((0, 9.9), (1, 10)))
    old.chain_delay_sec = 60
    middle = at_away(2, retry=retry, late=4)
    dispatching.fire([young, old, middle])
    assert await dispatching.put_off.step() == 2
    assert dispatching.queue.put_off_waits == {
        young.claimed.id: timedelta(seconds=2),
        middle.claimed.id: timedelta(seconds=6),
    }
    assert old not in dispatching.deliver.open()
    [ended] = await dispatching.outcomes.step()
    assert (ended.claimed.id, ended.status, ended.reason) == (old.claimed.id, "FAILED", "retries-exhausted")
    assert (ended.attempt_count, ended.fired_at) == (int(was_tried), None)
    assert ended.error is not None
    assert AWAY in ended.error
    assert ended.next_due_at == NOW + timedelta(seconds=60)


async def test_what_finds_no_place_behind_a_closed_circuit_waits_whatever_its_age(webhook: Hanging) -> None:
    dispatching = Dispatching(webhook, most_waiting=0)
    dispatching.fire([at_away(number, late=100, retry=Retry(max_age_sec=10)) for number in range(SLOTS + 5)])
    assert await dispatching.put_off.step() > 0
    assert dispatching.outcomes.open_count == 0
