"""Put off: give back what is due and cannot go out now, to be claimed again later.

It found no place to wait in its lane, or the circuit to its receiver is open (domain/circuit.py). Without this, the
backlog of one tenant's hanging endpoints would fill the hands of every dispatcher, and nobody's occurrences would be
claimed any more. Design note:

- Its lease is given back with a later start tag. The authority is the queue: whichever dispatcher claims it next has
  it, and a lease that was lost meanwhile is not touched. Until that is written it stays on our hands, where renewal,
  revocation and drain see it. `due_at` stays: lateness and the age of retries are counted from it.
- It waits a quarter of the time it is late: at least `_SHORTEST_WAIT`, by when it counts as late and is fired at its
  tag, though it may be claimed ahead of that; and at most `_LONGEST_WAIT`, for its endpoint may be well again.
- Behind that it stands in a line of its tenant; all tenants' lines together bring back `RETURNS_PER_SECOND`. Else a
  backlog of millions, each of which asks once a minute, would ask tens of thousands of times a second, and hold up the
  claims of everybody. Spacing also is the jitter: no two come back at once. The lines are this dispatcher's own and
  begin anew with it; the tags that were written stay.
- Behind an open circuit it waits for the next probe instead, in a line that begins there, at a place by chance, and
  whoever comes first is the probe: in their order it would be the same again each time, and one that its receiver
  always fails would keep all others out. So the probe needs nobody to keep it: one that is let go of or withdrawn is
  missed by none of those behind it. While it is under way, the others wait as long again as it has been. None of this
  is an attempt.
- A probe that is minutes away is not waited for in one piece: after `_LONGEST_WAIT` it asks again, for a peer may have
  found the receiver well, or this dispatcher be gone.
- Nor does it wait behind a circuit for longer than its retry policy's `maxAgeSec`: what is still shut out by then ends
  as FAILED, and can be replayed. Until then a peer whose circuit is closed, or a probe that closes ours, delivers it.
- What is put off may be overtaken by what is due later, of the same schedule too: who needs an order has an overlap
  policy, and its place in that line is kept.
- What was due in an absence (judge_misfires.py) is judged whenever it is claimed, so that its misfire window may end
  while it waits.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.due_queue import DueQueue
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.domain.occurrence import Status

MOST_AT_ONCE = 1_000
RETURNS_PER_SECOND = 2_000  # each costs a claim; one origin that answers within 5 ms takes as many
_SHORTEST_LINE = 1.0  # seconds from a probe on, over which even few come back, for chance to have a say
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=1)


class PutOffOccurrences:
    def __init__(self, queue: DueQueue, deliver: DeliverOccurrences, clock: Clock, measurements: Measurements) -> None:
        self._queue = queue
        self._deliver = deliver
        self._clock = clock
        self._measurements = measurements
        self._lines = _Lines()

    async def step(self) -> int:
        """Put off one batch, waiting for one; return how many. What an error came between is put off the next time."""
        refused = await self._deliver.next_refused(MOST_AT_ONCE)
        now = self._clock.now()
        batch = [item for item in refused if not self._ends_of_age(item, now)]
        if not batch:
            return 0
        seconds = now.timestamp()
        self._lines.forget_ended(seconds)
        try:
            await self._queue.put_off([item.claimed for item in batch], [self._wait(item, seconds) for item in batch])
        except BaseException:
            self._deliver.refuse(batch)
            raise
        self._deliver.let_go(batch)
        self._measurements.put_off(len(batch))
        return len(batch)

    def _ends_of_age(self, item: HeldOccurrence, now: datetime) -> bool:
        """End it if its circuit is open and its retry policy's age is over; tell whether that was so."""
        if now.timestamp() < _waits_until(item) or self._deliver.circuit_wait(item) is None:
            return False
        error = f"the circuit to {item.lane} was open until maxAgeSec was over"
        self._deliver.end_unattempted(item, Status.FAILED, "retries-exhausted", now, error)
        return True

    def _wait(self, item: HeldOccurrence, now: float) -> timedelta:
        tenant_id = item.claimed.tenant_id
        circuit_wait = self._deliver.circuit_wait(item)
        if circuit_wait is None:
            late = timedelta(seconds=now - item.claimed.due_at)
            wait = min(max(late / 4, _SHORTEST_WAIT), _LONGEST_WAIT).total_seconds()
            return timedelta(seconds=self._lines.place(tenant_id, None, now) + wait - now)
        soonest = now + _SHORTEST_WAIT.total_seconds()
        begins_at = max(now + min(circuit_wait, _LONGEST_WAIT).total_seconds(), soonest)
        returns_at = self._lines.place(tenant_id, item.lane, begins_at)
        return timedelta(seconds=min(returns_at, max(_waits_until(item), soonest)) - now)


class _Lines:
    """The lines in which tenants wait, each spaced so that all together bring back `RETURNS_PER_SECOND`.

    A tenant has one for each lane with an open circuit, which begins at the probe, and one for all else, which begins
    now. It shares its own turns among them, so that many receivers that are away do not thin out another's.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._ends: dict[str, dict[str | None, float]] = {}

    def place(self, tenant_id: str, lane: str | None, begins_at: float) -> float:
        """Return a place in a line, in epoch seconds, and take it: the next, or behind a circuit any of the line."""
        lines = self._ends.setdefault(tenant_id, {})
        place = max(lines.get(lane, begins_at), begins_at)
        line_count = len(lines) + (lane not in lines)
        lines[lane] = place + len(self._ends) * line_count / RETURNS_PER_SECOND
        return place if lane is None else begins_at + max(place - begins_at, _SHORTEST_LINE) * self._chance()

    def forget_ended(self, now: float) -> None:
        """Forget the lines that have come back, all of them, by now."""
        for tenant_id, lines in list(self._ends.items()):
            left = {lane: end for lane, end in lines.items() if end > now}
            if left:
                self._ends[tenant_id] = left
            else:
                del self._ends[tenant_id]


def _waits_until(item: HeldOccurrence) -> float:
    """Return from when on, in epoch seconds, its retry policy makes no further attempt (domain/retry.py)."""
    return item.claimed.retried_from.timestamp() + item.retry.max_age_sec
