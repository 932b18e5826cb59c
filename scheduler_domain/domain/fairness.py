"""Start tags: who is claimed first when more is due than can be delivered at once.

Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, 1996) with time itself as the virtual clock: a tenant's n-th
occurrence of an instant is tagged a little after its (n-1)-th, so a tenant with 100,000 due at 09:00:00 and one with
ten take turns, and claiming stays one ordered index scan that knows nothing of tenants. A tenant of weight 3 is tagged
in steps a third as long, so that three of its occurrences go out for one of a neighbour that weighs 1.

No step is longer than `STEP`, which is shorter than any machine's service time, so tags order work and never idle it:
where a tenant weighs less than 1, its steps stay and those of all others become shorter. Occurrences that are caught up
after downtime share one slower lane, whatever their tenants weigh: they drain at `CATCH_UP_PER_SECOND` and live work
passes between them. Losing this state (a new planner) costs fairness for one instant and nothing else.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

STEP = timedelta(microseconds=10)
CATCH_UP_PER_SECOND = 2_000
_STEP = STEP / timedelta(microseconds=1)
_CATCH_UP_STEP = timedelta(seconds=1) / CATCH_UP_PER_SECOND
_HERDS_REMEMBERED = 100_000


class Weights:
    """The tenants' weights as they were read last, for all that hand out tags in one process; at first, none."""

    def __init__(self) -> None:
        self.steps: Mapping[str, float] = {}
        """Microseconds between the tags of a tenant."""
        self.usual_step = _STEP
        """The same of a tenant that is not in it, which weighs 1."""

    def replace(self, by_tenant: Mapping[str, float]) -> None:
        """Go by these from now on, each above 0; tags that were handed out already stay.

        The lightest tenant takes `STEP`, for a longer one would have occurrences wait while nobody is before them.

        >>> weights = Weights()
        >>> weights.replace({"light": 0.5, "heavy": 2.0})
        >>> weights.steps, weights.usual_step
        ({'light': 10.0, 'heavy': 2.5}, 5.0)
        """
        self.usual_step = _STEP * min([1.0, *by_tenant.values()])
        self.steps = {tenant_id: self.usual_step / weight for tenant_id, weight in by_tenant.items()}


class StartTags:
    """Hands out start tags; one instance per process that plans, not shared between threads."""

    def __init__(self, weights: Weights | None = None) -> None:
        """Without `weights`, all tenants weigh the same."""
        self._weights = weights or Weights()
        # Microseconds from the due instant to the last tag: whole tags would round a third of a step, or a tenth.
        self._last_by_herd: dict[tuple[str, datetime], float] = {}
        self._last_caught_up: datetime | None = None

    def live(self, tenant_id: str, due_at: datetime) -> datetime:
        """Return the tag of an occurrence planned ahead: its due instant, or just after its tenant's last for it.

        >>> from datetime import UTC
        >>> weights, nine = Weights(), datetime(2026, 11, 22, 9, tzinfo=UTC)
        >>> tags = StartTags(weights)
        >>> [tags.live("acme", nine).microsecond for _ in range(3)], tags.live("other", nine).microsecond
        ([0, 10, 20], 0)
        >>> weights.replace({"heavy": 3.0})
        >>> [tags.live("heavy", nine).microsecond for _ in range(7)]
        [0, 3, 7, 10, 13, 17, 20]
        """
        herd = (tenant_id, due_at)
        last = self._last_by_herd.get(herd)
        if last is None:
            if len(self._last_by_herd) >= _HERDS_REMEMBERED:
                self._last_by_herd.clear()
            self._last_by_herd[herd] = 0.0
            return due_at
        weights = self._weights
        self._last_by_herd[herd] = last = last + weights.steps.get(tenant_id, weights.usual_step)
        return due_at + timedelta(0, 0, last)  # microseconds; by their name they cost half as much again

    def caught_up(self, now: datetime) -> datetime:
        """Return the tag of an occurrence that is late already: the next free place in the catch-up lane."""
        last = self._last_caught_up
        tag = now if last is None or last < now else last + _CATCH_UP_STEP
        self._last_caught_up = tag
        return tag

    def waits(self, now: datetime, count: int) -> list[timedelta]:
        """Return how long each of so many late occurrences has to wait for its place in the catch-up lane, ascending.

        Durations, because whoever queues them times them by another clock: the database's.

        >>> from datetime import UTC
        >>> StartTags().waits(datetime(2026, 11, 22, 9, tzinfo=UTC), 2)
        [datetime.timedelta(0), datetime.timedelta(microseconds=500)]
        """
        return [self.caught_up(now) - now for _ in range(count)]
