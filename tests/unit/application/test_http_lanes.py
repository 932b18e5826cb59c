"""Lanes: every bound holds, nobody starves, and nothing idles while it may go."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.http_lanes import SLOTS_PER_ORIGIN, HttpLanes
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
        NOW,
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

    def __init__(self, slots: int) -> None:
        self.lanes = HttpLanes(slots, self._deliver)
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


async def test_a_tenant_with_many_hanging_endpoints_leaves_three_quarters_to_the_others() -> None:
    receivers = Receivers(slots=40)
    for number in range(100):
        receivers.lanes.add(held("hanging", f"https://{number}.example"))
    receivers.lanes.add(held("neighbour"))
    await receivers.settle()
    tenants = Counter(item.claimed.tenant_id for item in receivers.started)
    assert tenants == {"hanging": 10, "neighbour": 1}
    await receivers.answer(101)
    assert len(receivers.started) == 101


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
