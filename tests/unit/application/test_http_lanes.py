"""Lanes: every bound holds, nobody starves, and nothing idles while it may go."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.http_lanes import MOST_WAITING, SLOTS_PER_ORIGIN, HttpLanes
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.schedule import Retry

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


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


class Receivers:
    """Deliveries that end when the test says so."""

    def __init__(self, slots: int, most_waiting: int = MOST_WAITING) -> None:
        self.lanes = HttpLanes(slots, self._deliver, most_waiting)
        self.started: list[HeldOccurrence] = []
        self._under_way: list[asyncio.Event] = []

    async def _deliver(self, item: HeldOccurrence) -> None:
        answer = asyncio.Event()
        self.started.append(item)
        self._under_way.append(answer)
        await answer.wait()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self, count: int = 1) -> None:
        for _ in range(count):
            self._under_way.pop(0).set()
            await self.settle()

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
