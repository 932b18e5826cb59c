"""The dispatcher's clock: the database's, carried on by this host's monotonic one.

Leases are timed by the database, so "due" is too: a dispatcher whose host clock is an hour off, or is set while it
runs, still fires at the right instant. Each heartbeat brings a sample; the one with the shortest round trip among the
recent ones is believed, because its error is at most half that.
"""

import time
from collections import deque
from datetime import UTC, datetime

from msgspec import Struct

_SAMPLES = 30


class _Sample(Struct, frozen=True, gc=False):
    offset: float
    round_trip: float


class DatabaseClock:
    """Implements application/ports/clock.py. Before the first sample it is the host's clock."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._offset = time.time() - time.monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def observe(self, database_now: datetime, asked_at: float, answered_at: float) -> None:
        """Take a reading of the database's clock, and when by `monotonic` it was asked for and arrived."""
        middle = (asked_at + answered_at) / 2
        self._samples.append(_Sample(database_now.timestamp() - middle, answered_at - asked_at))
        self._offset = min(self._samples, key=lambda sample: sample.round_trip).offset
