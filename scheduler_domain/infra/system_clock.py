"""The one place that reads the clocks of this host."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of every process; tests move one of their own."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
