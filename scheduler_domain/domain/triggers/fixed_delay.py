"""Steps of real time: FIXED_DELAY, and sub-daily recurrences without BY parts. A wall clock plays no part in them."""

from collections.abc import Iterator

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.local_time import LAST_SECOND
from scheduler_domain.domain.triggers.spec import FixedDelay

LONGEST_DELAY = 50 * 365 * 86_400


def check_fixed_delay(trigger: FixedDelay) -> None:
    """Raise TriggerError unless the delay and its anchor are ones that this product knows."""
    if type(trigger.delay_sec) is not int or not 1 <= trigger.delay_sec <= LONGEST_DELAY:
        raise TriggerError(
            "delay-range",
            f"trigger.delaySec must be a whole number of seconds from 1 to {LONGEST_DELAY:,} (50 years).",
            "trigger.delaySec",
        )
    if trigger.anchor not in ("COMPLETION", "SCHEDULE"):
        raise TriggerError(
            "delay-anchor", "trigger.anchor must be COMPLETION (the default) or SCHEDULE.", "trigger.anchor"
        )


class ElapsedSteps:
    """The UTC seconds `anchor + k * step`, up to and including `last`."""

    __slots__ = ("anchor", "last", "step")

    def __init__(self, anchor: int, step: int, last: int = LAST_SECOND) -> None:
        self.anchor = anchor
        self.step = step
        self.last = min(last, LAST_SECOND)

    def walk(self, low: int) -> Iterator[int]:
        """Yield each UTC second that is not before `low`, ascending."""
        first = self.anchor
        if low > first:
            first += -((first - low) // self.step) * self.step
        return iter(range(first, self.last + 1, self.step))
