"""The schedule: what a tenant asks for, whole, in the words of the wire.

One set of structs is the request body, the stored document and the value that every rule works on, so a field
exists in one place (docs/decisions/0002). Defaults are part of the stored document: a later change of a default
never moves a schedule that exists.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from msgspec import Meta, Struct, field

from scheduler_domain.domain.target import Target
from scheduler_domain.domain.triggers import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    OneShot,
    Rrule,
    RuleSpec,
)

Instant = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[int, Meta(ge=0, le=31_622_400)]


class CronTrigger(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="type", tag="CRON"):
    cron: str


class RruleTrigger(
    Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="RRULE"
):
    rrule: str
    dtstart: str | None = None


class FixedDelayTrigger(
    Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="type", tag="FIXED_DELAY"
):
    delay_sec: Annotated[int, Meta(ge=1, le=31_622_400)]
    anchor: Literal["COMPLETION", "SCHEDULE"] = "COMPLETION"


class OneShotTrigger(
    Struct,
    frozen=True,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    tag="ONE_SHOT",
):
    start_at: str
    if_past: Literal["RUN_NOW"] | None = None


Trigger = CronTrigger | RruleTrigger | FixedDelayTrigger | OneShotTrigger


class Holidays(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    country: str
    subdivision: str | None = None


class Exclude(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    dates: list[str] = field(default_factory=list)
    holidays: Holidays | None = None
    weekdays: list[str] = field(default_factory=list)
    roll: Literal["SKIP", "NEXT", "PREVIOUS"] = "SKIP"


class Dst(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    gap: Literal["SHIFT", "FIRST_VALID", "SKIP"] = "SHIFT"
    fold: Literal["FIRST", "SECOND", "BOTH"] = "FIRST"


class Misfire(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    policy: Literal["FIRE_LATEST", "FIRE_ALL", "SKIP"] = "FIRE_LATEST"
    window_sec: Seconds = 86_400
    max_count: Annotated[int, Meta(ge=1, le=100_000)] = 1_000


class Retry(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 12
    initial_delay_sec: Annotated[float, Meta(ge=0.1, le=3_600)] = 5
    factor: Annotated[float, Meta(ge=1, le=10)] = 2
    max_delay_sec: Annotated[float, Meta(ge=1, le=86_400)] = 3_600
    max_age_sec: Annotated[int, Meta(ge=1, le=604_800)] = 86_400


Overlap = Literal["ALLOW_ALL", "SKIP", "BUFFER_ONE", "BUFFER_ALL"]
Completion = Literal["ACK", "CALLBACK"]


class ScheduleDefinition(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the tenant decides. Only name, trigger and target are required."""

    key: str | None = None
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=2_000)] = ""
    labels: dict[str, str] = field(default_factory=dict)
    tz: str = "UTC"
    trigger: Trigger
    target: Target
    payload: Any = None
    enabled: bool = True
    start_at: Instant | None = None
    end_at: Instant | None = None
    max_runs: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    jitter_sec: Annotated[int, Meta(ge=0, le=86_400)] = 0
    exclude: Exclude | None = None
    dst: Dst = field(default_factory=Dst)
    misfire: Misfire = field(default_factory=Misfire)
    overlap: Overlap = "ALLOW_ALL"
    completion: Completion = "ACK"
    retry: Retry = field(default_factory=Retry)
    timeout_sec: Annotated[int, Meta(ge=1, le=86_400)] = 15
    priority: Annotated[int, Meta(ge=-100, le=100, description="Stored and shown; it has no effect yet.")] = 0


class ScheduleState(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    DISABLED = "DISABLED"


class Schedule(Struct, frozen=True, kw_only=True):
    """A stored schedule: the definition and what the platform knows of it."""

    id: UUID
    tenant_id: str
    definition: ScheduleDefinition
    state: ScheduleState
    state_reason: str | None
    revision: int
    version: int
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: str


class FiringRule(Protocol):
    """The fields that decide when a schedule fires; a definition has them, and so has the planner's extract of it."""

    @property
    def trigger(self) -> Trigger: ...
    @property
    def tz(self) -> str: ...
    @property
    def dst(self) -> Dst: ...
    @property
    def exclude(self) -> Exclude | None: ...
    @property
    def start_at(self) -> datetime | None: ...
    @property
    def end_at(self) -> datetime | None: ...


def rule_spec_of(rule: FiringRule, created_at: datetime) -> RuleSpec:
    """Return what the trigger engine needs to know of a schedule."""
    return RuleSpec(
        trigger=_engine_trigger(rule.trigger),
        tz=rule.tz,
        created_at=created_at,
        dst=DstPolicy(rule.dst.gap, rule.dst.fold),
        exclude=None if rule.exclude is None else _exclusions(rule.exclude),
        start_at=rule.start_at,
        end_at=rule.end_at,
    )


def _engine_trigger(trigger: Trigger) -> Cron | Rrule | FixedDelay | OneShot:
    match trigger:
        case CronTrigger():
            return Cron(trigger.cron)
        case RruleTrigger():
            return Rrule(trigger.rrule, trigger.dtstart)
        case FixedDelayTrigger():
            return FixedDelay(trigger.delay_sec, trigger.anchor)
        case OneShotTrigger():
            return OneShot(trigger.start_at, trigger.if_past)


def _exclusions(exclude: Exclude) -> Exclusions:
    holidays = exclude.holidays
    return Exclusions(
        dates=tuple(exclude.dates),
        weekdays=tuple(exclude.weekdays),
        country=None if holidays is None else holidays.country,
        subdivision=None if holidays is None else holidays.subdivision,
        roll=exclude.roll,
    )
