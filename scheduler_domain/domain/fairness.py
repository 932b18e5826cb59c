"""Start tags: who is claimed first when more is due than can be delivered at once.

Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, 1996) with time itself as the virtual clock: a tenant's n-th
occurrence of an instant is tagged a little after its (n-1)-th, so a tenant with 100,000 due at 09:00:00 and one with
ten take turns, and claiming stays one ordered index scan that knows nothing of tenants.

The step is shorter than any machine's service time, so tags order work and never idle it. Occurrences that are
caught up after downtime share one slower lane: they drain at `CATCH_UP_PER_SECOND` and live work passes between them.
Losing this state (a new planner) costs fairness for one instant and nothing else.
"""

from datetime import datetime, timedelta

STEP = timedelta(microseconds=10)
CATCH_UP_PER_SECOND = 2_000
_CATCH_UP_STEP = timedelta(seconds=1) / CATCH_UP_PER_SECOND
_HERDS_REMEMBERED = 100_000


class StartTags:
    """Hands out start tags; one instance per planner, not shared between threads."""

    def __init__(self) -> None:
        self._last_by_herd: dict[tuple[str, datetime], datetime] = {}
        self._last_caught_up: datetime | None = None

    def live(self, tenant_id: str, due_at: datetime, weight: float = 1.0) -> datetime:
        """Return the tag of an occurrence planned ahead: its due instant, or just after its tenant's last for it.

        >>> from datetime import UTC
        >>> tags, nine = StartTags(), datetime(2026, 11, 22, 9, tzinfo=UTC)
        >>> [tags.live("acme", nine).microsecond for _ in range(3)], tags.live("other", nine).microsecond
        ([0, 10, 20], 0)
        """
        herd = (tenant_id, due_at)
        last = self._last_by_herd.get(herd)
        tag = due_at if last is None else last + STEP / weight
        if len(self._last_by_herd) >= _HERDS_REMEMBERED:
            self._last_by_herd.clear()
        self._last_by_herd[herd] = tag
        return tag

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
