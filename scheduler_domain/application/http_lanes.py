"""Lanes of HTTP deliveries: bounded in all, by tenant and by origin, and never idle while one may go.

Without the bounds by tenant and origin, a hundred hanging endpoints of one tenant would fill every slot for fifteen
seconds and make all the others late. Free slots go round the tenants, and within a tenant round its origins.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from scheduler_domain.application.held_occurrence import HeldOccurrence

SLOTS_PER_ORIGIN = 10
_TENANT_SHARE = 4  # a tenant may use a quarter of the slots


@dataclass(slots=True)
class _Tenant:
    active_count: int = 0
    offered: deque["_Lane"] = field(default_factory=deque)
    is_in_turn: bool = False


@dataclass(slots=True)
class _Lane:
    tenant: _Tenant
    waiting: deque[HeldOccurrence] = field(default_factory=deque)
    active_count: int = 0
    is_offered: bool = False


class HttpLanes:
    def __init__(self, slots: int, deliver: Callable[[HeldOccurrence], Coroutine[Any, Any, None]]) -> None:
        self._free_slots = slots
        self._slots_per_tenant = max(slots // _TENANT_SHARE, 1)
        self._deliver = deliver
        self._tenants: dict[str, _Tenant] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._turns: deque[_Tenant] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    def add(self, item: HeldOccurrence) -> None:
        """Queue an occurrence on its lane and start it at once if the bounds allow."""
        lane = self._lane(item)
        lane.waiting.append(item)
        self._offer(lane)
        self._fill()

    def _lane(self, item: HeldOccurrence) -> _Lane:
        tenant_id, origin = item.claimed.tenant_id, item.lane
        lane = self._lanes.get((tenant_id, origin))
        if lane is None:
            tenant = self._tenants.setdefault(tenant_id, _Tenant())
            lane = self._lanes[tenant_id, origin] = _Lane(tenant)
        return lane

    def _offer(self, lane: _Lane) -> None:
        if lane.waiting and not lane.is_offered and lane.active_count < SLOTS_PER_ORIGIN:
            lane.is_offered = True
            lane.tenant.offered.append(lane)
        self._take_turn(lane.tenant)

    def _take_turn(self, tenant: _Tenant) -> None:
        if tenant.offered and not tenant.is_in_turn and tenant.active_count < self._slots_per_tenant:
            tenant.is_in_turn = True
            self._turns.append(tenant)

    def _fill(self) -> None:
        while self._free_slots and self._turns:
            tenant = self._turns.popleft()
            tenant.is_in_turn = False
            lane = tenant.offered.popleft()
            lane.is_offered = False
            self._launch(lane, lane.waiting.popleft())
            self._offer(lane)

    def _launch(self, lane: _Lane, item: HeldOccurrence) -> None:
        self._free_slots -= 1
        lane.active_count += 1
        lane.tenant.active_count += 1
        task = asyncio.create_task(self._deliver(item))
        self._under_way.add(task)
        task.add_done_callback(lambda done: self._ended(lane, item, done))

    def _ended(self, lane: _Lane, item: HeldOccurrence, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._free_slots += 1
        lane.active_count -= 1
        lane.tenant.active_count -= 1
        self._offer(lane)
        self._forget_if_idle(lane, item)
        self._fill()
        if not task.cancelled():
            task.result()  # a sender that raises has a defect: let the loop's exception handler show it

    def _forget_if_idle(self, lane: _Lane, item: HeldOccurrence) -> None:
        if not lane.active_count and not lane.waiting:
            del self._lanes[item.claimed.tenant_id, item.lane]
        if not lane.tenant.active_count and not lane.tenant.offered:
            self._tenants.pop(item.claimed.tenant_id, None)
