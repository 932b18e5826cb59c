"""Put off: give back what is due and found no place to wait in its lane, to be claimed again later.

Without this, the backlog of one tenant's hanging endpoints would fill the hands of every dispatcher, and nobody's
occurrences would be claimed any more. Design note:

- Its lease is given back with a later start tag. The authority is the queue: whichever dispatcher claims it next has
  it, and a lease that was lost meanwhile is not touched. Until that is written it stays on our hands, where renewal,
  revocation and drain see it. `due_at` stays: lateness and the age of retries are counted from it.
- It waits a quarter of the time it is late: at least `_SHORTEST_WAIT`, by when it counts as late and is fired at its
  tag, though it may be claimed ahead of that; and at most `_LONGEST_WAIT`, for its endpoint may be well again.
- Behind that it stands in a line of its tenant, which is spaced so that all tenants' lines together bring back
  `RETURNS_PER_SECOND`. Else a backlog of millions, each of which asks once a minute, would ask tens of thousands of
  times a second, and hold up the claims of everybody. Spacing also is the jitter: no two come back at once. The lines
  are this dispatcher's own and begin anew with it; the tags that were written stay.
- What is put off may be overtaken by what is due later, of the same schedule too: who needs an order has an overlap
  policy, and its place in that line is kept.
- What was due in an absence (judge_misfires.py) is judged whenever it is claimed, so that its misfire window may end
  while it waits.
"""

from datetime import timedelta

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.due_queue import Claimed, DueQueue
from scheduler_domain.application.ports.measurements import Measurements

MOST_AT_ONCE = 1_000
RETURNS_PER_SECOND = 2_000  # each costs a claim; one origin that answers within 5 ms takes as many
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=1)


class PutOffOccurrences:
    def __init__(self, queue: DueQueue, deliver: DeliverOccurrences, clock: Clock, measurements: Measurements) -> None:
        self._queue = queue
        self._deliver = deliver
        self._clock = clock
        self._measurements = measurements
        self._line_ends: dict[str, float] = {}
        """Of each tenant that has put off more than comes back by now: when its line ends, in epoch seconds."""

    async def step(self) -> int:
        """Put off one batch, waiting for one; return how many. What an error came between is put off the next time."""
        batch = await self._deliver.next_refused(MOST_AT_ONCE)
        if not batch:
            return 0
        now = self._clock.now().timestamp()
        self._line_ends = {tenant_id: end for tenant_id, end in self._line_ends.items() if end > now}
        claimed = [item.claimed for item in batch]
        try:
            await self._queue.put_off(claimed, [self._wait(item, now) for item in claimed])
        except BaseException:
            self._deliver.refuse(batch)
            raise
        self._deliver.let_go(batch)
        self._measurements.put_off(len(batch))
        return len(batch)

    def _wait(self, claimed: Claimed, now: float) -> timedelta:
        place = self._line_ends.setdefault(claimed.tenant_id, now)
        self._line_ends[claimed.tenant_id] = place + len(self._line_ends) / RETURNS_PER_SECOND
        late = timedelta(seconds=now - claimed.due_at)
        return min(max(late / 4, _SHORTEST_WAIT), _LONGEST_WAIT) + timedelta(seconds=place - now)
