"""Lanes of HTTP deliveries: bounded in what is under way, by tenant and origin, and in what waits, by tenant.

Without the bounds by tenant and origin, a hundred hanging endpoints of one tenant would fill every slot for fifteen
seconds and make all the others late. A tenant has a quarter of the slots, and is lent more while nobody below a quarter
waits and half of them stay free; an origin has `SLOTS_PER_ORIGIN`, also where nobody else waits. So slots may be
idle while something waits (docs/decisions/0016). They go round the tenants, and within a tenant round its origins; a
lane starts what waits in the order of its coming.

Without a bound on what waits, the backlog of such endpoints would fill the hands of the dispatcher, and nothing else
would be claimed, events included. A tenant may have as many waiting as a quarter of the places that are free then, of
`MOST_WAITING`: alone 12,000, of ten hanging tenants each 4,286, and a newcomer always finds a place. A fixed number for
each tenant would be too few for one that is alone, or too many for a hundred. (Choudhury and Hahne, "Dynamic queue
length thresholds for shared-memory packet switches", 1998.)

A lane whose circuit is open (docs/decisions/0018) takes nothing but the probe: what waits in it when the circuit opens
is refused, and what comes later finds no place.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler_domain.application.circuits import Circuits
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.domain.circuit import Circuit
from scheduler_domain.domain.outcome import Outcome

SLOTS_PER_ORIGIN = 10
MOST_WAITING = 60_000  # half of what a dispatcher holds; a tenant alone has work until what is put off comes back
_TENANT_SHARE = 4  # a tenant may use a quarter of the slots, and more that are lent
_WAITING_SHARE = 4


@dataclass(slots=True, eq=False)
class _Tenant:
    id: str
    active_count: int = 0
    waiting_count: int = 0
    offered: deque["_Lane"] = field(default_factory=deque)
    is_in_turn: bool = False


@dataclass(slots=True, eq=False)
class _Lane:
    key: tuple[str, str]
    tenant: _Tenant
    waiting: deque[HeldOccurrence] = field(default_factory=deque)
    active_count: int = 0
    is_offered: bool = False


class HttpLanes:
    def __init__(
        self,
        slots: int,
        deliver: Callable[[HeldOccurrence], Coroutine[Any, Any, Outcome | None]],
        refuse: Callable[[Sequence[HeldOccurrence]], None],
        circuits: Circuits,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """`deliver` makes one attempt; it returns None where it made none, for the occurrence was let go of.

        `refuse` takes what was added and is not to wait any longer.
        """
        self._free_slots = slots
        self._free_places = most_waiting
        self._slots_per_tenant = max(slots // _TENANT_SHARE, 1)
        self._slots_not_lent = slots // 2
        self._deliver = deliver
        self._refuse = refuse
        self._circuits = circuits
        self._tenants: dict[str, _Tenant] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._turns: deque[_Tenant] = deque()
        self._borrowers: dict[str, _Tenant] = {}
        self._under_way: set[asyncio.Task[Outcome | None]] = set()

    def add(self, item: HeldOccurrence) -> bool:
        """Queue an occurrence on its lane and start it at once if the bounds allow.

        False if there is no place for it, or the circuit to its origin is open. What was let go of keeps its place
        until a slot comes round to it, at which it is passed over.
        """
        tenant = self._tenants.get(item.claimed.tenant_id)
        if tenant is not None and tenant.waiting_count > self._free_places // _WAITING_SHARE:
            return False
        if not self._circuits.lets_through((item.claimed.tenant_id, item.lane), item.claimed.schedule_id):
            return False
        lane = self._lane(item)
        lane.waiting.append(item)
        lane.tenant.waiting_count += 1
        self._free_places -= 1
        self._offer(lane)
        self._fill()
        return True

    def _lane(self, item: HeldOccurrence) -> _Lane:
        key = tenant_id, _ = item.claimed.tenant_id, item.lane
        lane = self._lanes.get(key)
        if lane is None:
            tenant = self._tenants.setdefault(tenant_id, _Tenant(tenant_id))
            lane = self._lanes[key] = _Lane(key, tenant)
        return lane

    def _offer(self, lane: _Lane) -> None:
        if lane.waiting and not lane.is_offered and lane.active_count < SLOTS_PER_ORIGIN:
            lane.is_offered = True
            lane.tenant.offered.append(lane)
        self._take_turn(lane.tenant)

    def _take_turn(self, tenant: _Tenant) -> None:
        if not tenant.offered or tenant.is_in_turn:
            return
        if tenant.active_count < self._slots_per_tenant:
            tenant.is_in_turn = True
            self._turns.append(tenant)
            self._borrowers.pop(tenant.id, None)
        else:
            self._borrowers.setdefault(tenant.id, tenant)

    def _fill(self) -> None:
        while tenant := self._next_in_turn() or self._next_borrower():
            lane = tenant.offered.popleft()
            lane.is_offered = False
            self._launch(lane, lane.waiting.popleft())
            self._offer(lane)

    def _next_in_turn(self) -> _Tenant | None:
        if not self._free_slots or not self._turns:
            return None
        tenant = self._turns.popleft()
        tenant.is_in_turn = False
        return tenant

    def _next_borrower(self) -> _Tenant | None:
        """Return who is lent a slot: of those at their bound, whoever has waited longest for it."""
        if self._free_slots <= self._slots_not_lent or not self._borrowers:
            return None
        return self._borrowers.pop(next(iter(self._borrowers)))

    def _launch(self, lane: _Lane, item: HeldOccurrence) -> None:
        self._free_places += 1
        lane.tenant.waiting_count -= 1
        self._free_slots -= 1
        lane.active_count += 1
        lane.tenant.active_count += 1
        began = self._circuits.begin(lane.key)
        task = asyncio.create_task(self._deliver(item))
        self._under_way.add(task)
        task.add_done_callback(lambda done: self._ended(lane, began, done))

    def _ended(self, lane: _Lane, began: tuple[Circuit, int], task: asyncio.Task[Outcome | None]) -> None:
        self._under_way.discard(task)
        self._free_slots += 1
        lane.active_count -= 1
        lane.tenant.active_count -= 1
        has_outcome = not task.cancelled() and task.exception() is None
        if self._circuits.end(lane.key, began, task.result() if has_outcome else None):
            self._empty(lane)
        self._offer(lane)
        self._forget_if_idle(lane)
        self._fill()
        if not task.cancelled():
            task.result()  # a sender that raises has a defect: let the loop's exception handler show it

    def _empty(self, lane: _Lane) -> None:
        """Refuse what waits in the lane, and take the lane, and its tenant if that was all, out of their turns."""
        if not lane.waiting:
            return
        tenant, refused = lane.tenant, tuple(lane.waiting)
        lane.waiting.clear()
        self._free_places += len(refused)
        tenant.waiting_count -= len(refused)
        if lane.is_offered:
            lane.is_offered = False
            tenant.offered.remove(lane)
        if not tenant.offered:
            self._borrowers.pop(tenant.id, None)
            if tenant.is_in_turn:
                tenant.is_in_turn = False
                self._turns.remove(tenant)
        self._refuse(refused)

    def _forget_if_idle(self, lane: _Lane) -> None:
        if not lane.active_count and not lane.waiting:
            del self._lanes[lane.key]
        if not lane.tenant.active_count and not lane.tenant.offered:
            self._tenants.pop(lane.tenant.id, None)
