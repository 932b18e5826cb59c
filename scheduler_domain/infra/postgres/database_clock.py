"""The clock of every process: the database's, carried on by this host's monotonic one.

Leases are timed by the database, so "due" is too: a process whose host clock is an hour off, or is set while it runs,
plans and fires at the right instants all the same. A dispatcher takes a sample with each heartbeat, an API every few
seconds. The one with the shortest round trip among the recent ones is believed, because its error is at most half that.

Two samples that cannot both be true mean that time itself went another way: the database's clock was set, another
server took its place, or this host slept. Then only the newer one counts.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.postgres.pool import TenantPool

_SAMPLES = 30
_DRIFT = 0.005
"""Seconds by which two honest clocks may part while the samples are gathered."""
_READ_EVERY = timedelta(seconds=5)
_FIRST_READ_WITHIN = timedelta(seconds=1)


class _Sample(Struct, frozen=True, gc=False):
    offset: float
    round_trip: float


class DatabaseClock:
    """Implements application/ports/clock.py. Before the first sample it is the host's clock.

    `host_time` and `monotonic` are this host's two clocks, in seconds.
    """

    def __init__(
        self, host_time: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._offset = host_time() - monotonic()
        self._monotonic = monotonic
        self._is_read = asyncio.Event()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._monotonic() + self._offset, UTC)

    def monotonic(self) -> float:
        return self._monotonic()

    def observe(self, database_now: datetime, asked_at: float, answered_at: float) -> None:
        """Take a reading of the database's clock, and when by `monotonic` it was asked for and arrived."""
        middle = (asked_at + answered_at) / 2
        sample = _Sample(database_now.timestamp() - middle, answered_at - asked_at)
        if any(_contradict(sample, earlier) for earlier in self._samples):
            self._samples.clear()
        self._samples.append(sample)
        self._offset = min(self._samples, key=lambda sample: sample.round_trip).offset
        self._is_read.set()

    async def follow(self, pool: TenantPool) -> None:
        """Go by the pool's database until cancelled; while that is away, by what it said last."""
        while True:
            with suppress(Unavailable):
                asked_at = self.monotonic()
                now = await pool.platform_value("SELECT clock_timestamp()")
                assert isinstance(now, datetime)
                self.observe(now, asked_at, self.monotonic())
            await asyncio.sleep(_READ_EVERY.total_seconds())

    async def has_been_read(self) -> None:
        """Wait for the first sample, for a second at most: a process starts though its database is away."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_read.wait(), _FIRST_READ_WITHIN.total_seconds())


def _contradict(one: _Sample, other: _Sample) -> bool:
    return abs(one.offset - other.offset) > (one.round_trip + other.round_trip) / 2 + _DRIFT
