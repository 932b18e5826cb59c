"""Time as an argument: nothing below the entrypoints reads a clock of its own."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the instant, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump; for deadlines and durations only."""
