"""Time as a test wants it."""

from datetime import datetime, timedelta


class SetClock:
    """A clock that stands at `seconds` after its start until it is set."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self.seconds = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds
