"""What a caller may ask for: plain values, exactly as a schedule carries them, judged only by `compile_rule`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Cron:
    """A crontab(5) expression of five fields, six with seconds first, or one of the `@daily` kind."""

    cron: str


@dataclass(frozen=True, slots=True)
class Rrule:
    """An RFC 5545 recurrence: a bare rule, or a block of DTSTART, RRULE, RDATE and EXDATE lines.

    `dtstart` is a local wall time in the schedule's zone; without one anywhere, the creation instant anchors the rule.
    """

    rrule: str
    dtstart: str | None = None


@dataclass(frozen=True, slots=True)
class FixedDelay:
    """Elapsed seconds between occurrences, counted from the previous end (COMPLETION) or on a fixed grid (SCHEDULE)."""

    delay_sec: int
    anchor: str = "COMPLETION"


@dataclass(frozen=True, slots=True)
class OneShot:
    """One instant (with an offset), or one local time (without); `if_past` may be RUN_NOW."""

    start_at: str
    if_past: str | None = None


Trigger = Cron | Rrule | FixedDelay | OneShot


@dataclass(frozen=True, slots=True)
class DstPolicy:
    """What happens to a local time that does not exist (`gap`) or exists twice (`fold`)."""

    gap: str = "SHIFT"
    fold: str = "FIRST"


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Local dates on which nothing fires, and where their occurrences go (`roll`: SKIP, NEXT or PREVIOUS)."""

    dates: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    country: str | None = None
    subdivision: str | None = None
    roll: str = "SKIP"


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """Everything that decides when a schedule fires. Instants are aware; the window's ends are inclusive."""

    trigger: Trigger
    tz: str
    created_at: datetime
    dst: DstPolicy = DstPolicy()
    exclude: Exclusions | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
