"""Replay: a dead letter is tried again, as the occurrence that it is."""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from scheduler_domain.domain.occurrence import Occurrence, Status
from scheduler_domain.domain.schedule import Schedule, ScheduleState

MOST_ATTEMPTS: Final = 900
"""Attempts after which a dead letter is not replayed any more: a hundred more, and numbers still have three digits."""


def replayed(occurrence: Occurrence, next_attempt_at: datetime) -> Occurrence:
    """Return the occurrence as it stands once it is replayed: pending, with the attempts it has had."""
    return replace(occurrence, status=Status.PENDING, reason=None, completed_at=None, next_attempt_at=next_attempt_at)


def why_not_replayed(occurrence: Occurrence, schedule: Schedule | None) -> str | None:
    """Return in a sentence why an occurrence cannot be replayed, or None."""
    if occurrence.status != Status.FAILED:
        return f"the occurrence is {occurrence.status}; what is FAILED can be replayed"
    if schedule is None:
        return "its schedule was deleted, so there is no target any more to deliver it to"
    if schedule.state == ScheduleState.DISABLED:
        return f"its schedule is disabled ({schedule.state_reason}); edit or resume it first"
    if _attempt_count(occurrence) >= MOST_ATTEMPTS:
        return f"it was tried {_attempt_count(occurrence)} times; run the schedule now instead"
    return None


def _attempt_count(occurrence: Occurrence) -> int:
    return max((attempt.number for attempt in occurrence.attempts), default=0)
