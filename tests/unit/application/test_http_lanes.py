"""Lanes: every bound holds, nobody starves, nothing idles while it may go, and an open circuit is left alone."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from scheduler_domain.application.circuits import CircuitChange, Circuits
from scheduler_domain.application.held_occurrence import HeldOccurrence, Stage
from scheduler_domain.application.http_lanes import MOST_WAITING, SLOTS_PER_ORIGIN, HttpLanes
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.circuit import CircuitState, CircuitTerms
from scheduler_domain.domain.outcome import Delivered, Outcome, Unreachable
from scheduler_domain.domain.schedule import Retry
from tests.simulation.measurements import Unmeasured
from tests.support.set_clock import SetClock

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DELIVERED = Delivered(200)
TERMS = CircuitTerms()
PROBE_AFTER = TERMS.first_probe_after.total_seconds()


def held(tenant_id: str, origin: str = "https://a.example", number: int = 0) -> HeldOccurrence:
    claimed = Claimed(
        tenant_id,
        UUID(int=1),
        UUID(int=number),
        "SCHEDULED",
        1,
        NOW.timestamp(),
        NOW.timestamp(),
        NOW.timestamp(),
        1,
        0,
        False,
        False,
        "(0,1)",
        1,
        "ACTIVE",
        None,
    )
    return HeldOccurrence(claimed, None, origin, "HTTP", Retry(), None, 0.0, 0.0)


class ShownCircuits(Unmeasured):
    """Keeps the series of `scheduler_circuit_state`."""

    def __init__(self) -> None:
        self.by_host: dict[str, CircuitState] = {}

    def circuit(self, host: str, state: CircuitState) -> None:
        if state is CircuitState.CLOSED:
            del self.by_host[host]
        else:
            self.by_host[host] = state


class Receivers:
    """Deliveries that end when the test says so; of what was let go of, none is made."""

    def __init__(self, slots: int, most_waiting: int = MOST_WAITING) -> None:
        self.clock = SetClock(NOW)
        self.shown = ShownCircuits()
        self.circuits = Circuits(self.clock, self.shown, chance=lambda: 0.0)
        self.lanes = HttpLanes(slots, self._deliver, self._refuse, self.circuits, most_waiting)
        self.started: list[HeldOccurrence] = []
        self.refused: list[HeldOccurrence] = []
        self._under_way: list[asyncio.Future[Outcome]] = []

    async def _deliver(self, item: HeldOccurrence) -> Outcome | None:
        if item.stage is Stage.DROPPED:
            return None
        self.started.append(item)
        answer = asyncio.get_running_loop().create_future()
        self._under_way.append(answer)
        return await answer

    def _refuse(self, items: Sequence[HeldOccurrence]) -> None:
        self.refused += items

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self, count: int = 1, outcome: Outcome = DELIVERED) -> None:
        for _ in range(count):
            self._under_way.pop(0).set_result(outcome)
            await self.settle()

    async def fail(self, count: int = 1) -> None:
        await self.answer(count, Unreachable("connection refused"))

    async def opened(self, tenant_id: str = "acme") -> None:
        """Open the circuit of a tenant to the usual origin; nothing else may be under way."""
        for _ in range(TERMS.failures_in_a_row):
            assert self.lanes.add(held(tenant_id))
            await self.settle()
            await self.fail()

    @property
    def under_way_count(self) -> int:
        return len(self._under_way)


async def test_one_origin_has_its_own_bound() -> None:
    receivers = Receivers(slots=256)
    for number in range(30):
        receivers.lanes.add(held("acme", number=number))
    await receivers.settle()
    assert receivers.under_way_count == SLOTS_PER_ORIGIN
    await receivers.answer(3)
    assert receivers.under_way_count == SLOTS_PER_ORIGIN
    assert [item.claimed.id.int for item in receivers.started] == list(range(13))
    await receivers.answer(SLOTS_PER_ORIGIN + 17)


async def test_a_tenant_with_many_hanging_endpoints_leaves_half_to_the_others() -> None:
    receivers = Receivers(slots=40)
    for number in range(100):
        receivers.lanes.add(held("hanging", f"https://{number}.example"))
    receivers.lanes.add(held("neighbour"))
    await receivers.settle()
    tenants = Counter(item.claimed.tenant_id for item in receivers.started)
    assert tenants == {"hanging": 20, "neighbour": 1}
    await receivers.answer(101)
    assert len(receivers.started) == 101


async def test_what_is_lent_goes_back_when_others_have_work() -> None:
    receivers = Receivers(slots=40)
    for number in range(60):
        receivers.lanes.add(held("first", f"https://{number}.example"))
    for tenant in ("second", "third", "fourth"):
        for number in range(60):
            receivers.lanes.add(held(tenant, f"https://{number}.example"))
    await receivers.settle()
    assert Counter(item.claimed.tenant_id for item in receivers.started) == {"first": 20, "second": 10, "third": 10}
    await receivers.answer(10)
    tenants = Counter(item.claimed.tenant_id for item in receivers.started[10:])
    assert tenants == {"first": 10, "second": 10, "third": 10, "fourth": 10}
    await receivers.answer(230)


async def test_an_origin_is_lent_nothing_and_whoever_comes_after_a_borrower_has_its_quarter() -> None:
    receivers = Receivers(slots=80)
    for tenant in ("narrow", "a", "b"):
        for number in range(60):
            origin = "https://one.example" if tenant == "narrow" else f"https://{number}.example"
            receivers.lanes.add(held(tenant, origin))
    await receivers.settle()
    started = Counter(item.claimed.tenant_id for item in receivers.started)
    assert started == {"narrow": SLOTS_PER_ORIGIN, "a": 30, "b": 20}
    await receivers.answer(180)
    assert len(receivers.started) == 180


async def test_free_slots_go_round_the_tenants() -> None:
    receivers = Receivers(slots=4)
    for number in range(8):
        for tenant in ("a", "b", "c", "d", "e"):
            receivers.lanes.add(held(tenant, number=number))
    await receivers.settle()
    await receivers.answer(16)
    tenants = Counter(item.claimed.tenant_id for item in receivers.started)
    assert max(tenants.values()) - min(tenants.values()) <= 1
    await receivers.answer(24)


async def test_everything_is_delivered_whatever_the_bounds() -> None:
    receivers = Receivers(slots=7)
    items = [held(f"t{number % 13}", f"https://{number % 29}.example", number) for number in range(1_000)]
    for item in items:
        receivers.lanes.add(item)
    await receivers.settle()
    while receivers.under_way_count:
        assert receivers.under_way_count <= 7
        await receivers.answer()
    assert {item.claimed.id for item in receivers.started} == {item.claimed.id for item in items}


def taken_of(receivers: Receivers, tenant_id: str, offered_count: int) -> int:
    return sum(receivers.lanes.add(held(tenant_id, number=number)) for number in range(offered_count))


async def test_a_tenant_that_is_alone_may_have_a_fifth_of_all_places_waiting() -> None:
    receivers = Receivers(slots=40, most_waiting=1_000)
    assert taken_of(receivers, "hanging", 500) == SLOTS_PER_ORIGIN + 201
    await receivers.settle()
    await receivers.answer(SLOTS_PER_ORIGIN + 201)


async def test_however_many_tenants_hang_the_next_finds_a_place_and_the_places_are_enough() -> None:
    receivers = Receivers(slots=1, most_waiting=1_000)
    waiting = [taken_of(receivers, f"t{number}", 300) for number in range(200)]
    assert waiting[0] > waiting[20] > 0
    assert min(waiting) >= 1
    assert sum(waiting) <= 1_000 + 200
    await receivers.settle()
    await receivers.answer(sum(waiting))
    assert len(receivers.started) == sum(waiting)


async def test_a_place_is_free_again_once_what_stood_there_has_started() -> None:
    receivers = Receivers(slots=1, most_waiting=10)
    assert taken_of(receivers, "acme", 10) == 1 + 3
    await receivers.settle()
    assert not receivers.lanes.add(held("acme"))
    await receivers.answer()
    assert receivers.lanes.add(held("acme"))
    await receivers.answer(4)


async def test_what_waits_in_a_lane_is_refused_when_its_circuit_opens_and_what_is_under_way_ends_as_it_ends() -> None:
    receivers = Receivers(slots=256)
    for number in range(30):
        receivers.lanes.add(held("acme", number=number))
    await receivers.settle()
    await receivers.fail(5)
    await receivers.fail(5)
    assert [item.claimed.id.int for item in receivers.started] == list(range(19))  # the tenth failure starts no other
    assert [item.claimed.id.int for item in receivers.refused] == list(range(19, 30))
    assert not receivers.lanes.add(held("acme"))
    await receivers.answer(9)
    assert not receivers.lanes.add(held("acme"))
    assert receivers.under_way_count == 0


async def test_an_open_circuit_is_of_its_tenant_and_origin_alone() -> None:
    receivers = Receivers(slots=256)
    await receivers.opened()
    assert not receivers.lanes.add(held("acme"))
    assert receivers.lanes.add(held("acme", "https://other.example"))
    assert receivers.lanes.add(held("neighbour"))
    await receivers.settle()
    await receivers.answer(2)


async def test_whoever_comes_first_when_it_is_due_is_the_probe_and_nobody_beside_it() -> None:
    receivers = Receivers(slots=256)
    await receivers.opened()
    receivers.clock.seconds = PROBE_AFTER
    assert [receivers.lanes.add(held("acme", number=number)) for number in range(20)] == [True] + [False] * 19
    await receivers.settle()
    assert receivers.under_way_count == 1
    await receivers.fail()
    assert not receivers.lanes.add(held("acme"))
    receivers.clock.seconds += 2 * PROBE_AFTER
    assert receivers.lanes.add(held("acme"))
    await receivers.settle()
    await receivers.answer()
    assert all(receivers.lanes.add(held("acme")) for _ in range(20))
    await receivers.settle()
    assert receivers.under_way_count == SLOTS_PER_ORIGIN
    await receivers.answer(20)


async def test_a_probe_that_is_let_go_of_while_it_waits_for_a_slot_leaves_its_place_to_the_next() -> None:
    receivers = Receivers(slots=1)
    await receivers.opened()
    receivers.lanes.add(held("neighbour"))
    receivers.clock.seconds = PROBE_AFTER
    probe = held("acme")
    assert receivers.lanes.add(probe)
    assert not receivers.lanes.add(held("acme"))
    probe.stage = Stage.DROPPED
    await receivers.settle()
    await receivers.answer()
    assert receivers.lanes.add(held("acme"))
    await receivers.settle()
    await receivers.answer()
    assert receivers.circuits.wait(("acme", "https://a.example")) is None


async def test_a_probe_whose_sender_fails_of_itself_leaves_its_place_to_the_next() -> None:
    receivers = Receivers(slots=1)
    await receivers.opened()
    receivers.clock.seconds = PROBE_AFTER
    shown: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: shown.append(context["exception"]))
    assert receivers.lanes.add(held("acme"))
    await receivers.settle()
    receivers._under_way.pop(0).set_exception(KeyError("defect"))
    await receivers.settle()
    loop.set_exception_handler(None)  # the loop is that of other tests as well
    assert [type(error) for error in shown] == [KeyError]
    assert receivers.lanes.add(held("acme"))
    await receivers.settle()
    await receivers.answer()


@pytest.mark.parametrize("seed", range(5))
async def test_every_bound_holds_and_nothing_is_lost_however_circuits_open_and_close(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    receivers = Receivers(slots=7, most_waiting=100)
    added = rejected = 0
    for number in range(3_000):
        receivers.clock.seconds += chance.random()
        item = held(f"t{number % 5}", f"https://{number % 3}.example", number)
        if receivers.lanes.add(item):
            added += 1
        else:
            rejected += 1
        await asyncio.sleep(0)
        assert receivers.under_way_count <= 7
        is_bad_time = receivers.clock.seconds % 400 < 200
        while receivers.under_way_count and chance.random() < (0.3 if is_bad_time else 0.7):
            await (receivers.fail() if is_bad_time else receivers.answer())
    await receivers.settle()
    while receivers.under_way_count:
        await receivers.answer()
    assert rejected > 0
    assert receivers.refused
    assert len(receivers.started) + len(receivers.refused) == added
    receivers.clock.seconds += 2 * TERMS.longest_wait.total_seconds()
    for tenant in range(5):
        for origin in range(3):
            assert receivers.lanes.add(held(f"t{tenant}", f"https://{origin}.example"))
            await receivers.settle()
            await receivers.answer()
    assert receivers.shown.by_host == {}
    assert taken_of(receivers, "t0", 100) == taken_of(Receivers(slots=7, most_waiting=100), "t0", 100)
    await receivers.settle()
    while receivers.under_way_count:
        await receivers.answer()


async def test_the_metric_shows_the_worst_circuit_to_a_host_and_none_once_all_are_closed() -> None:
    receivers = Receivers(slots=256)
    await receivers.opened("acme")
    await receivers.opened("other")
    assert receivers.shown.by_host == {"a.example": CircuitState.OPEN}
    receivers.clock.seconds = PROBE_AFTER
    receivers.lanes.add(held("acme"))
    assert receivers.shown.by_host == {"a.example": CircuitState.OPEN}
    receivers.lanes.add(held("other"))
    assert receivers.shown.by_host == {"a.example": CircuitState.HALF_OPEN}
    await receivers.settle()
    await receivers.answer()
    assert receivers.shown.by_host == {"a.example": CircuitState.HALF_OPEN}
    await receivers.answer()
    assert receivers.shown.by_host == {}


async def test_an_opening_and_a_closing_are_told_once_and_failed_probes_are_not() -> None:
    receivers = Receivers(slots=256)
    lane = ("acme", "https://a.example")
    await receivers.opened()
    for wait in (1, 2):
        receivers.clock.seconds += wait * PROBE_AFTER
        receivers.lanes.add(held("acme"))
        await receivers.settle()
        await (receivers.fail() if wait == 1 else receivers.answer())
    assert receivers.circuits.take_changes() == [
        CircuitChange(*lane, is_open=True, error="connection refused"),
        CircuitChange(*lane, is_open=False, error=None),
    ]
    assert receivers.circuits.take_changes() == []


async def test_a_circuit_that_nobody_comes_to_any_more_is_forgotten_and_its_series_with_it() -> None:
    receivers = Receivers(slots=256)
    await receivers.opened()
    receivers.circuits.forget_idle()
    assert receivers.shown.by_host
    receivers.clock.seconds = 2 * 3600
    receivers.circuits.forget_idle()
    assert receivers.shown.by_host == {}
    assert receivers.lanes.add(held("acme"))
    await receivers.settle()
    await receivers.answer()


async def test_requests_that_end_after_their_circuit_was_forgotten_change_nothing() -> None:
    clock = SetClock(NOW)
    circuits = Circuits(clock, ShownCircuits(), chance=lambda: 0.0)
    lane = ("acme", "https://a.example")
    began = [circuits.begin(lane) for _ in range(TERMS.failures_in_a_row)]
    clock.seconds = 600.0
    circuits.forget_idle()
    assert not any(circuits.end(lane, each, Unreachable("no answer")) for each in began)
    assert circuits.lets_through(lane, UUID(int=1))
    assert circuits.take_changes() == []
