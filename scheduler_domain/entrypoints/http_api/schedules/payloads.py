"""Schedules on the wire: the definition's own members, framed by what the platform knows."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from scheduler_domain.application.backfill_schedule import Backfilled
from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.application.ports.schedules import SchedulesPage
from scheduler_domain.application.preview_trigger import LARGEST_COUNT, Preview
from scheduler_domain.domain.audit import Audit
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.schedule import Dst, Exclude, Retry, Schedule, ScheduleDefinition, ScheduleState, Trigger
from scheduler_domain.domain.triggers import Instant
from scheduler_domain.entrypoints.http_api.answers import versioned

_encode = msgspec.json.Encoder().encode


class Before(Struct, frozen=True, rename="camel"):
    id: UUID
    tenant_id: str


class After(Struct, frozen=True, rename="camel"):
    state: ScheduleState
    state_reason: str | None
    revision: int
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: str


class PauseRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Why, and until when; both may be left out."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    resume_at: Annotated[datetime, Meta(tz=True)] | None = None


class ResumeRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`catchUp`: treat what the pause covered as missed, by the schedule's misfire policy."""

    catch_up: bool = False


class BackfillRequest(Struct, frozen=True, rename={"from_": "from"}, forbid_unknown_fields=True):
    """The instants that are to be made up for: from `from` on and before `to`, which is not later than now."""

    from_: Annotated[datetime, Meta(tz=True)]
    to: Annotated[datetime, Meta(tz=True)]


class BackfillAnswer(
    Struct,
    frozen=True,
    rename={
        "schedule_id": "scheduleId",
        "from_": "from",
        "already_present": "alreadyPresent",
        "still_to_plan": "stillToPlan",
    },
):
    """How many occurrences were made, how many instants were present, and how many the planner comes to by itself.

    Present is what was delivered, is queued, or is a dead letter.
    """

    schedule_id: UUID
    from_: datetime
    to: datetime
    created: int
    already_present: int
    still_to_plan: int


class MissingInstant(Struct, frozen=True, rename="camel"):
    """An instant that should have an occurrence and has none; the id is the one it would have."""

    id: UUID
    scheduled_for: datetime


class UnexpectedOccurrence(Struct, frozen=True, rename="camel"):
    """An occurrence of the plan at an instant that the rule does not name."""

    id: UUID
    scheduled_for: datetime
    status: Status


class AuditAnswer(Struct, frozen=True, rename="camel"):
    """What should have fired against what is known. `auditedFrom`, `auditedTo`: the part that can be recomputed."""

    expected: int
    found: int
    missing: list[MissingInstant]
    unexpected: list[UnexpectedOccurrence]
    audited_from: datetime | None
    audited_to: datetime | None


class PreviewRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A rule that is not saved: the members of a schedule that decide when it fires."""

    trigger: Trigger
    tz: str = "UTC"
    dst: Dst = field(default_factory=Dst)
    exclude: Exclude | None = None
    start_at: Annotated[datetime, Meta(tz=True)] | None = None
    end_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_runs: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    after: Annotated[datetime, Meta(tz=True)] | None = None
    count: Annotated[int, Meta(ge=1, le=LARGEST_COUNT)] = 10


class PreviewNote(Struct, frozen=True):
    """Something about the rule that its author may not have meant."""

    code: str
    message: str


class PreviewInstant(Struct, frozen=True):
    """One instant: in UTC, on the wall, with the wall's offset; `dst` says what a policy did, `excluded` why not."""

    at: datetime
    local: str
    offset: str
    dst: str | None
    excluded: str | None


class PreviewAnswer(Struct, frozen=True):
    """The rule in words, what is odd about it, and when it fires next; excluded instants stand among the others."""

    words: str
    notes: list[PreviewNote]
    occurrences: list[PreviewInstant]


def schedule_json(schedule: Schedule) -> bytes:
    """Return the schedule as one flat object. Three encoded objects joined at their braces: no member is copied."""
    before = _encode(Before(schedule.id, schedule.tenant_id))
    after = _encode(
        After(
            schedule.state,
            schedule.state_reason,
            schedule.revision,
            in_utc(schedule.next_fire_at),
            in_utc(schedule.last_fire_at),
            schedule.version,
            schedule.created_at.astimezone(UTC),
            schedule.updated_at.astimezone(UTC),
            schedule.created_by,
        )
    )
    return b"%b,%b,%b" % (before[:-1], _encode(_in_utc(schedule.definition))[1:-1], after[1:])


def schedules_json(page: SchedulesPage, number: int, size: int) -> bytes:
    items = b",".join(map(schedule_json, page.schedules))
    frame = b'{"items":[%b],"page":%d,"pageSize":%d,"total":%d,"nextCursor":%b}'
    return frame % (items, number, size, page.total, _encode(page.next_cursor))


def schedule_answer(schedule: Schedule, status: int = 200) -> Answer:
    return versioned(schedule_json(schedule), schedule.version, f"/schedules/{schedule.id}", status)


def created_answer(schedule: Schedule) -> Answer:
    return schedule_answer(schedule, 201)


def backfilled_answer(backfilled: Backfilled) -> Answer:
    answer = BackfillAnswer(
        backfilled.schedule_id,
        backfilled.from_.astimezone(UTC),
        backfilled.to.astimezone(UTC),
        backfilled.created_count,
        backfilled.present_count,
        backfilled.unplanned_count,
    )
    return Answer(202, {}, _encode(answer).decode())


def audit_json(audit: Audit) -> bytes:
    return _encode(
        AuditAnswer(
            audit.expected_count,
            audit.found_count,
            [MissingInstant(item.planned_id, item.scheduled_for.astimezone(UTC)) for item in audit.missing],
            [
                UnexpectedOccurrence(item.id, item.scheduled_for.astimezone(UTC), item.status)
                for item in audit.unexpected
            ],
            in_utc(audit.from_),
            in_utc(audit.to),
        )
    )


def in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _in_utc(definition: ScheduleDefinition) -> ScheduleDefinition:
    """Return the definition with its window in UTC: an instant has one spelling on the wire, and so has a number."""
    definition = msgspec.structs.replace(definition, retry=_with_whole_numbers(definition.retry))
    if definition.start_at is None and definition.end_at is None:
        return definition
    return msgspec.structs.replace(definition, start_at=in_utc(definition.start_at), end_at=in_utc(definition.end_at))


def preview_json(preview: Preview) -> bytes:
    return _encode(preview_answer(preview))


def preview_answer(preview: Preview) -> PreviewAnswer:
    notes = [PreviewNote(note.code, note.message) for note in preview.notes]
    return PreviewAnswer(preview.words, notes, [_instant(item) for item in preview.items])


def _instant(item: Instant) -> PreviewInstant:
    return PreviewInstant(item.at.astimezone(UTC), item.local.isoformat(), _offset(item), item.dst, item.excluded)


def _offset(item: Instant) -> str:
    """Return the wall's distance from UTC; whole minutes, but for zones before they were reckoned in such."""
    seconds = round((item.local - item.at.replace(tzinfo=None)).total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    minutes, seconds_left = divmod(rest, 60)
    text = f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
    return f"{text}:{seconds_left:02}" if seconds_left else text


def _with_whole_numbers(retry: Retry) -> Retry:
    """Return the policy with 5 for 5.0, which is how a client wrote it."""
    return Retry(
        retry.max_attempts,
        whole_or_not(retry.initial_delay_sec),
        whole_or_not(retry.factor),
        whole_or_not(retry.max_delay_sec),
        retry.max_age_sec,
    )


def whole_or_not(number: float) -> float:
    """Return the number as JSON writes it shortest: 5 for 5.0."""
    return int(number) if number == int(number) else number
