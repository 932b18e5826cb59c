"""How many rows one statement is given: fewer while the database is slow, so that each is done before it is cut."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from scheduler_domain.application.ports.clock import Clock

FEWEST: Final = 100
SLOW_SEC: Final = 2.5
"""Half of what the store waits for a statement (infra/postgres/dispatch_pool.py). One that takes longer halves the
next, one that takes less than half of it doubles the next. In between the size stays: where every answer is a second
late, however few rows it is about, fewer rows would only mean more answers to wait for."""


class BatchSize:
    """The rows of one kind of statement: `most`, or fewer, but at least `FEWEST`."""

    def __init__(self, most: int, clock: Clock) -> None:
        self.rows = most
        self._most = most
        self._clock = clock

    @contextmanager
    def measured(self) -> Iterator[Callable[[int], None]]:
        """Around one statement; it is told how many rows were done. Few rows, done quickly, tell nothing of many."""
        began = self._clock.monotonic()
        try:
            yield lambda rows: self._grow(rows, self._clock.monotonic() - began)
        finally:
            if self._clock.monotonic() - began > SLOW_SEC:
                self.rows = max(self.rows // 2, FEWEST)

    def _grow(self, rows: int, seconds: float) -> None:
        if seconds < SLOW_SEC / 2 and rows >= self.rows // 2:
            self.rows = min(self.rows * 2, self._most)
