"""Occurrences on the wire."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.application.ports.dead_letters import Replayed
from scheduler_domain.application.ports.occurrences import OccurrencesPage
from scheduler_domain.domain.callback import LONGEST_MESSAGE
from scheduler_domain.domain.occurrence import Attempt, Occurrence, OccurrenceKind, Status

_encode = msgspec.json.Encoder().encode


class CompleteRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How the work ended that the receiver had accepted; the message is kept for people."""

    success: bool
    message: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] | None = None


class AttemptView(Struct, frozen=True, rename="camel"):
    """One try at delivering; `outcome` is DELIVERED or FAILED."""

    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    status_code: int | None
    error: str | None
    response_excerpt: str | None


class OccurrenceView(Struct, frozen=True, rename="camel"):
    """One instant at which a schedule should fire, and how it went."""

    id: UUID
    tenant_id: str
    schedule_id: UUID
    kind: OccurrenceKind
    scheduled_for: datetime
    due_at: datetime
    status: Status
    reason: str | None
    attempts: list[AttemptView]
    next_attempt_at: datetime | None
    completed_at: datetime | None
    lateness_ms: int | None
    trace_id: str | None
    revision: int


class OccurrencesView(Struct, frozen=True, rename="camel"):
    """`total` is exact up to 10,000 and stops there; `nextCursor` leads on however far the history goes."""

    items: list[OccurrenceView]
    page: int
    page_size: int
    total: int
    next_cursor: str | None


class ReplayRequest(
    Struct, frozen=True, kw_only=True, rename={"from_": "from", "schedule_id": "scheduleId"}, forbid_unknown_fields=True
):
    """Which dead letters: of one schedule or of all, scheduled for `from` or later and before `to`.

    `cursor` is the `nextCursor` of the batch before, with the same choice.
    """

    status: Literal["FAILED"]
    schedule_id: UUID | None = None
    from_: Annotated[datetime, Meta(tz=True)] | None = None
    to: Annotated[datetime, Meta(tz=True)] | None = None
    cursor: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None


class ReplayAnswer(Struct, frozen=True, rename="camel"):
    """How many are pending again, how many could not be replayed, and the cursor of the next batch, if there is one."""

    replayed: int
    not_replayed: int
    next_cursor: str | None


def occurrence_view(occurrence: Occurrence) -> OccurrenceView:
    return OccurrenceView(
        id=occurrence.id,
        tenant_id=occurrence.tenant_id,
        schedule_id=occurrence.schedule_id,
        kind=occurrence.kind,
        scheduled_for=occurrence.scheduled_for.astimezone(UTC),
        due_at=occurrence.due_at.astimezone(UTC),
        status=occurrence.status,
        reason=occurrence.reason,
        attempts=[_attempt(item) for item in occurrence.attempts],
        next_attempt_at=_in_utc(occurrence.next_attempt_at),
        completed_at=_in_utc(occurrence.completed_at),
        lateness_ms=occurrence.lateness_ms,
        trace_id=occurrence.trace_id,
        revision=occurrence.revision,
    )


def occurrence_json(occurrence: Occurrence) -> bytes:
    return _encode(occurrence_view(occurrence))


def occurrences_json(page: OccurrencesPage, number: int, size: int) -> bytes:
    items = [occurrence_view(item) for item in page.occurrences]
    return _encode(OccurrencesView(items, number, size, page.total, page.next_cursor))


def triggered_answer(occurrence: Occurrence) -> Answer:
    return Answer(202, {"Location": f"/occurrences/{occurrence.id}"}, occurrence_json(occurrence).decode())


def replayed_answer(occurrence: Occurrence) -> Answer:
    return Answer(202, {}, occurrence_json(occurrence).decode())


def cancelled_answer(occurrence: Occurrence) -> Answer:
    return Answer(200, {}, occurrence_json(occurrence).decode())


def batch_replayed_answer(replayed: Replayed) -> Answer:
    answer = ReplayAnswer(replayed.count, replayed.left_count, replayed.next_cursor)
    return Answer(202, {}, _encode(answer).decode())


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt.number,
        attempt.started_at.astimezone(UTC),
        attempt.duration_ms,
        attempt.outcome,
        attempt.status_code,
        attempt.error,
        attempt.response_excerpt,
    )


def _in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
