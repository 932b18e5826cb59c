"""ONE_SHOT: a single instant, or a single local time under the schedule's gap and fold policies. Never twice."""

from dataclasses import dataclass

from scheduler_domain.domain.triggers.errors import TriggerError
from scheduler_domain.domain.triggers.local_time import parse_iso, utc_microsecond, wall_second
from scheduler_domain.domain.triggers.spec import OneShot


@dataclass(frozen=True, slots=True)
class OneTime:
    """A point in whole seconds (UTC where `is_instant`, else on the wall) and the microseconds beyond them."""

    second: int
    microsecond: int
    is_instant: bool


def parse_one_shot(trigger: OneShot) -> OneTime:
    """Return when a one-shot trigger is due; TriggerError where its text is no time."""
    if trigger.if_past not in (None, "RUN_NOW"):
        raise TriggerError("one-shot-past", "trigger.ifPast must be RUN_NOW or left out.", "trigger.ifPast")
    at, aware = parse_iso(trigger.start_at, "trigger.startAt")
    second = utc_microsecond(at) // 1_000_000 if aware else wall_second(at)
    return OneTime(second, at.microsecond, aware)
