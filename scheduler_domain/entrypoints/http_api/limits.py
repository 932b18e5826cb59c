"""How often somebody may ask. Kept in this process: a bound on load and on guessing, not an accounting."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from scheduler_domain.domain.errors import SchedulerError

_MOST_SOURCES: Final = 10_000
REFUSED_TOKENS_PER_MINUTE: Final = 60


@dataclass
class TooManyRequests(SchedulerError):
    code: ClassVar[str] = "too-many-requests"
    retry_after: timedelta = timedelta(seconds=1)


class RequestRate:
    """A token bucket per name: `per_second` on average, twice that at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(2 * per_second, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> None:
        """Raise TooManyRequests where the bucket is empty. `now` is in seconds of a clock that never jumps."""
        left, filled_at = self._buckets.get(name, (self._most, now))
        left = min(self._most, left + (now - filled_at) * self._per_second)
        if left < 1:
            wait = timedelta(seconds=(1 - left) / self._per_second)
            raise TooManyRequests(f"this tenant may ask {self._per_second:g} times a second", wait)
        if len(self._buckets) >= _MOST_SOURCES and name not in self._buckets:
            self._buckets.clear()
        self._buckets[name] = (left - 1, now)


class RefusedTokens:
    """Counts refused tokens per source, so that guessing is slowed down. A valid token is never held up by it."""

    def __init__(self) -> None:
        self._rate = RequestRate(REFUSED_TOKENS_PER_MINUTE / 60)
        self._first: dict[str, int] = {}

    def count(self, source: str, now: float) -> None:
        """Raise TooManyRequests where this source has had too many tokens refused."""
        if len(self._first) >= _MOST_SOURCES:
            self._first.clear()
        tries = self._first[source] = self._first.get(source, 0) + 1
        if tries > REFUSED_TOKENS_PER_MINUTE:
            try:
                self._rate.take(source, now)
            except TooManyRequests as refusal:
                raise TooManyRequests("too many refused tokens from this address", refusal.retry_after) from None
