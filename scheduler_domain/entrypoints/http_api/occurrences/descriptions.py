"""What the routes of occurrences say of themselves; the OpenAPI document is made of it."""

from typing import Final

from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.roles import Role
from scheduler_domain.entrypoints.http_api.bodies import NothingToChoose
from scheduler_domain.entrypoints.http_api.occurrences.payloads import (
    CompleteRequest,
    OccurrencesView,
    OccurrenceView,
    ReplayAnswer,
    ReplayRequest,
)
from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply
from scheduler_domain.entrypoints.http_api.parameters import (
    IDEMPOTENCY_KEY,
    OCCURRENCE_ID,
    PAGING,
    SCHEDULE_ID,
    choice,
    instant,
)

_TAG: Final = "Occurrences"
_ORDER: Final = "Newest first by the instant they were scheduled for. `total` is exact up to 10,000."
_FILTERS: Final = (
    choice("status", "Only occurrences with this status; FAILED is the dead letter.", tuple(Status)),
    instant("from", "Only occurrences scheduled for this instant or later."),
    instant("to", "Only occurrences scheduled for before this instant."),
)

LIST: Final = Operation(
    tag=_TAG,
    summary="List occurrences",
    description=_ORDER,
    role=Role.VIEWER,
    parameters=(
        *_FILTERS,
        Parameter("scheduleId", "query", "Only occurrences of this schedule.", {"type": "string", "format": "uuid"}),
        *PAGING,
    ),
    replies={200: Reply("One page.", OccurrencesView)},
    problems=("invalid-field",),
)
LIST_OF_SCHEDULE: Final = Operation(
    tag=_TAG,
    summary="List a schedule's occurrences",
    description=f"{_ORDER} The history of a deleted schedule can still be read.",
    role=Role.VIEWER,
    parameters=(SCHEDULE_ID, *_FILTERS, *PAGING),
    replies={200: Reply("One page.", OccurrencesView)},
    problems=("not-found", "invalid-field"),
)
GET: Final = Operation(
    tag=_TAG,
    summary="Get an occurrence with its attempts",
    role=Role.VIEWER,
    parameters=(OCCURRENCE_ID,),
    replies={200: Reply("The occurrence.", OccurrenceView)},
    problems=("not-found",),
)
REPLAY: Final = Operation(
    tag=_TAG,
    summary="Replay a dead letter",
    description="A FAILED occurrence is PENDING again, under the same id and key, with the attempts it has had; its"
    " retry policy begins anew. It is delivered as the schedule stands now. A receiver that has it already knows the"
    " key, and JetStream drops what it stored within its duplicate window.",
    role=Role.OPERATOR,
    parameters=(OCCURRENCE_ID, IDEMPOTENCY_KEY),
    body=NothingToChoose,
    is_body_required=False,
    replies={202: Reply("The occurrence, pending again.", OccurrenceView)},
    problems=("not-found", "conflict", "invalid-field", "idempotency-mismatch"),
)
REPLAY_BATCH: Final = Operation(
    tag=_TAG,
    summary="Replay dead letters",
    description="Up to 1,000 at once, the oldest first, at a rate that lets live work pass. Send the same again with"
    " `cursor` for the next batch, until `nextCursor` is null. Those whose schedule was deleted or is disabled"
    " are left.",
    role=Role.OPERATOR,
    parameters=(IDEMPOTENCY_KEY,),
    body=ReplayRequest,
    examples={"Everything since Monday": {"status": "FAILED", "from": "2026-11-16T00:00:00Z"}},
    replies={202: Reply("What became of this batch.", ReplayAnswer)},
    problems=("invalid-field", "idempotency-mismatch"),
)
CANCEL: Final = Operation(
    tag=_TAG,
    summary="Cancel an occurrence",
    description="Once this is answered, no attempt of it starts. What is under way or has ended is a conflict. The plan"
    " goes on; a schedule that runs from completion is due a delay from now.",
    role=Role.OPERATOR,
    parameters=(OCCURRENCE_ID, IDEMPOTENCY_KEY),
    body=NothingToChoose,
    is_body_required=False,
    replies={200: Reply("The occurrence, cancelled.", OccurrenceView)},
    problems=("not-found", "conflict", "invalid-field", "idempotency-mismatch"),
)
COMPLETE: Final = Operation(
    tag=_TAG,
    summary="Call back how the work ended",
    description=(
        "For the receiver of an HTTP delivery that it answered with 202, of a schedule with `completion: CALLBACK`. The"
        " delivery brought the token in `X-Scheduler-Callback-Token` and this path in `X-Scheduler-Callback-Url`. A"
        " success completes the occurrence; a failure counts as a failed attempt, and is tried again by the schedule's"
        " policy. Saying the same again is answered alike and changes nothing; the opposite is refused, and so is what"
        " comes after `timeoutSec`."
    ),
    is_public=True,
    own_token="callbackToken",  # noqa: S106 - a name
    parameters=(OCCURRENCE_ID,),
    body=CompleteRequest,
    examples={"Done": {"success": True}, "Failed": {"success": False, "message": "the source file is empty"}},
    replies={200: Reply("The occurrence as it is then.", OccurrenceView)},
    problems=(
        "invalid-request",
        "unauthenticated",
        "forbidden",
        "not-found",
        "conflict",
        "not-awaited",
        "invalid-field",
        "too-many-requests",
        "unavailable",
    ),
)
