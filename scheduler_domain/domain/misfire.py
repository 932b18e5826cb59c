"""Misfires: what becomes of an instant at which the platform was not there to fire it.

Found late are instants that nobody had planned (the planner's to decide, planning.py), and occurrences that were
planned ahead and that nobody claimed while no dispatcher lived (a claim's to decide). Both go by the schedule's policy
here. What is late because there was much to do is no misfire: it is delivered.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from scheduler_domain.domain.schedule import FixedDelayTrigger, Misfire, Trigger

MISFIRE_THRESHOLD: Final = timedelta(seconds=1)
_THRESHOLD_SEC: Final = MISFIRE_THRESHOLD.total_seconds()
ABSENT_AFTER: Final = timedelta(seconds=5)
"""So long without a heartbeat of any dispatcher, nobody was there. What is due sooner after the last one was held."""


class Absence(Struct, frozen=True, gc=False):
    """A time in which no dispatcher lived: from the last heartbeat to the next one, in epoch seconds."""

    began: float
    ended: float

    @property
    def missed_until(self) -> float:
        """What was due before this, and not before it began, was missed; what came later is only a little late."""
        return self.ended - _THRESHOLD_SEC


def fires_every_missed(misfire: Misfire, trigger: Trigger) -> bool:
    """Tell whether each missed instant is fired; a fixed delay never has more than one to make up for."""
    return misfire.policy == "FIRE_ALL" and not isinstance(trigger, FixedDelayTrigger)


def reason_to_skip(misfire: Misfire, trigger: Trigger, at: datetime, now: datetime, *, is_latest: bool) -> str | None:
    """Return why a missed instant is not fired, or None where it is; `is_latest` of those that were missed."""
    if at < now - timedelta(seconds=misfire.window_sec):
        return "misfire-window"
    if misfire.policy == "SKIP":
        return "misfire-skipped"
    return None if is_latest or fires_every_missed(misfire, trigger) else "misfire-coalesced"
