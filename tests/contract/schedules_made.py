"""Schedules as a use case hands them to the port, with whatever a test wants planned."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.ports.schedules import Accepted, Changed, HeldSchedule
from scheduler_domain.domain.ids import occurrence_id, schedule_id
from scheduler_domain.domain.occurrence import OccurrenceKind, PlannedOccurrence, SkippedOccurrence
from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule
from scheduler_domain.domain.schedule import Schedule, ScheduleDefinition, ScheduleState
from scheduler_domain.domain.triggers import tzdata_version
from scheduler_domain.domain.withdrawal import Ending as Reason
from scheduler_domain.domain.withdrawal import Withdrawal, withdraw, withdraw_nothing
from tests.support.stored import definition

TENANT = "acme"
_numbers = count(1)


def accepted(
    *due_at: datetime,
    of: ScheduleDefinition | None = None,
    next_fire_at: datetime | None = None,
    is_last: bool = False,
    skipped_at: Sequence[datetime] = (),
) -> Accepted:
    """Return a new schedule with these instants planned and its cursor standing at `next_fire_at`."""
    of = of or definition()
    now = datetime.now(UTC)
    identity = schedule_id(now, next(_numbers).to_bytes(10, "big"))
    cursor = Cursor(TENANT, identity, 1, PlanningRule.of(of), now, next_fire_at, tzdata=tzdata_version())
    due = [planned(identity, at, is_last=is_last) for at in due_at]
    plan = Plan(cursor, cursor, due, [skipped(identity, at) for at in skipped_at], finished=False)
    schedule = Schedule(
        id=identity,
        tenant_id=TENANT,
        definition=of,
        state=ScheduleState.ACTIVE if of.enabled else ScheduleState.PAUSED,
        state_reason=None,
        revision=1,
        version=1,
        next_fire_at=next_fire_at,
        last_fire_at=None,
        created_at=now,
        updated_at=now,
        created_by="ada",
    )
    return Accepted(schedule, plan, is_soon=False)


def planned(schedule: UUID, at: datetime, *, is_last: bool = False) -> PlannedOccurrence:
    return PlannedOccurrence(
        TENANT, schedule, id_at(schedule, at), OccurrenceKind.SCHEDULED, 1, at, at, at, is_last=is_last
    )


def skipped(schedule: UUID, at: datetime) -> SkippedOccurrence:
    return SkippedOccurrence(
        TENANT, schedule, id_at(schedule, at), OccurrenceKind.SCHEDULED, 1, at, at, "misfire-coalesced"
    )


def id_at(schedule: UUID, at: datetime) -> UUID:
    return occurrence_id(TENANT, schedule, "SCHEDULED", at.isoformat(), int(at.timestamp() * 1000))


def moved_on(cursor: Cursor, next_fire_at: datetime | None, *due_at: datetime, finished: bool = False) -> Plan:
    """Return a plan of the cursor that moves it to `next_fire_at` and makes these instants due."""
    after = replace(cursor, next_fire_at=next_fire_at, run_count=cursor.run_count + len(due_at))
    due = [replace(planned(cursor.schedule_id, at), revision=cursor.revision) for at in due_at]
    return Plan(cursor, after, due, [], finished=finished)


def paused(held: HeldSchedule, resume_at: datetime | None = None) -> Changed:
    schedule = replace(
        held.schedule, state=ScheduleState.PAUSED, version=held.schedule.version + 1, updated_at=held.now
    )
    withdrawal = withdraw(held.queued, held.now, Reason.PAUSED)
    stopped = replace(held.cursor, next_fire_at=None)
    plan = Plan(stopped, stopped, [], [], finished=False)
    return Changed(schedule, held.now, resume_at, plan, withdrawal, Reason.PAUSED, is_soon=False)


def revised(held: HeldSchedule, *due_at: datetime, withdrawal: Withdrawal | None = None) -> Changed:
    """Return an edit that makes a new revision and plans these instants."""
    revision = held.schedule.revision + 1
    schedule = replace(held.schedule, revision=revision, version=held.schedule.version + 1, updated_at=held.now)
    cursor = replace(held.cursor, revision=revision)
    due = [replace(planned(held.schedule.id, at), revision=revision) for at in due_at]
    plan = Plan(cursor, cursor, due, [], finished=False)
    withdrawal = withdraw_nothing(held.queued, held.now) if withdrawal is None else withdrawal
    return Changed(schedule, None, None, plan, withdrawal, Reason.REPLANNED, is_soon=False)


def a_moment_ago() -> datetime:
    return datetime.now(UTC) - timedelta(milliseconds=1)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)
