"""What the routes of schedules say of themselves; the OpenAPI document is made of it."""

from typing import Any, Final

from scheduler_domain.domain.roles import Role
from scheduler_domain.domain.schedule import ScheduleDefinition
from scheduler_domain.entrypoints.http_api.bodies import NothingToChoose
from scheduler_domain.entrypoints.http_api.occurrences.payloads import OccurrenceView
from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply
from scheduler_domain.entrypoints.http_api.parameters import (
    IDEMPOTENCY_KEY,
    IF_MATCH,
    KEY,
    PAGING,
    SCHEDULE_ID,
    choice,
    instant,
    whole,
)
from scheduler_domain.entrypoints.http_api.schedules.payloads import (
    AuditAnswer,
    BackfillAnswer,
    BackfillRequest,
    PauseRequest,
    PreviewAnswer,
    PreviewRequest,
    ResumeRequest,
)

_TAG: Final = "Schedules"
SCHEDULE: Final = "Schedule"
SCHEDULES: Final = "Schedules"

_EXAMPLES: Final[dict[str, Any]] = {
    "Every working day at nine in Berlin, as an event": {
        "name": "Daily report",
        "key": "daily-report",
        "tz": "Europe/Berlin",
        "trigger": {"type": "CRON", "cron": "0 9 * * 1-5"},
        "target": {"kind": "EVENT", "eventTopic": "reports.daily.generate"},
        "payload": {"greeting": "Hello ${tenantId}, it is ${localDate}"},
    },
    "The last Friday of each month, to a webhook": {
        "name": "Month end",
        "tz": "America/New_York",
        "trigger": {"type": "RRULE", "rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0"},
        "target": {"kind": "HTTP", "http": {"url": "https://example.com/hooks/month-end"}},
    },
    "An hour after the last one ended, to a queue": {
        "name": "Sweep",
        "trigger": {"type": "FIXED_DELAY", "delaySec": 3600},
        "target": {"kind": "QUEUE", "queue": {"topic": "sweeps"}},
    },
    "Once": {
        "name": "New year",
        "trigger": {"type": "ONE_SHOT", "startAt": "2030-01-01T00:00:00Z"},
        "target": {"kind": "EVENT", "eventTopic": "greetings"},
    },
}
_ONE: Final = Reply("The schedule as it stands.", SCHEDULE, headers=("ETag",))
_MADE: Final = Reply("The schedule is stored, and will fire.", SCHEDULE, headers=("ETag", "Location"))
_CHANGED: Final = Reply(
    "The schedule as it is from now on. No attempt starts any more that the change forbids.",
    SCHEDULE,
    headers=("ETag",),
)

CREATE: Final = Operation(
    tag=_TAG,
    summary="Create a schedule",
    description="Everything is checked now, so that nothing fails for its form at the instant of firing: the rule has"
    " a first occurrence, the target can be addressed, each `${place}` in the payload has a value.",
    role=Role.EDITOR,
    parameters=(IDEMPOTENCY_KEY,),
    body=ScheduleDefinition,
    examples=_EXAMPLES,
    replies={201: _MADE},
    problems=("conflict", "key-taken", "invalid-field", "idempotency-mismatch"),
)
LIST: Final = Operation(
    tag=_TAG,
    summary="List schedules",
    description="Newest first unless sorted otherwise.",
    role=Role.VIEWER,
    parameters=(
        choice("state", "Only schedules in this state.", ("ACTIVE", "PAUSED", "COMPLETED", "DISABLED")),
        choice("enabled", "Only those that may fire, or only those that may not.", ("true", "false")),
        Parameter(
            "label",
            "query",
            "Only schedules with this label, as `name:value`; repeat it to ask for several at once.",
            {"type": "array", "items": {"type": "string"}},
        ),
        Parameter("q", "query", "Only schedules whose name or key contains this text, in upper or lower case."),
        choice("trigger", "Only schedules of this kind.", ("CRON", "RRULE", "FIXED_DELAY", "ONE_SHOT")),
        choice("targetKind", "Only schedules with this kind of target.", ("EVENT", "HTTP", "QUEUE")),
        choice(
            "sort",
            "The order; `-` for descending. What never fires again comes last by `nextFireAt`.",
            ("nextFireAt", "-nextFireAt", "name", "-name", "createdAt", "-createdAt"),
        ),
        *PAGING,
    ),
    replies={200: Reply("One page.", SCHEDULES)},
    problems=("invalid-field",),
)
GET: Final = Operation(
    tag=_TAG,
    summary="Get a schedule",
    role=Role.VIEWER,
    parameters=(SCHEDULE_ID,),
    replies={200: _ONE},
    problems=("not-found",),
)
GET_BY_KEY: Final = Operation(
    tag=_TAG,
    summary="Get a schedule by its key",
    role=Role.VIEWER,
    parameters=(KEY,),
    replies={200: _ONE},
    problems=("not-found", "invalid-field"),
)
PATCH: Final = Operation(
    tag=_TAG,
    summary="Edit a schedule",
    description="A JSON Merge Patch (RFC 7396): members that are sent replace, `null` restores the default, the rest"
    " stays. A trigger or target of another kind replaces the old one as a whole. `enabled` alone may be patched by"
    " operators, and pauses or resumes. A changed rule is planned anew in the same transaction.",
    role=Role.OPERATOR,
    parameters=(SCHEDULE_ID, IF_MATCH),
    body={"type": "object", "description": "The members of a schedule that are to change."},
    body_media_types=("application/merge-patch+json", "application/json"),
    examples={"Another hour": {"trigger": {"cron": "0 10 * * 1-5"}}, "Pause": {"enabled": False}},
    replies={200: _CHANGED},
    problems=("not-found", "key-taken", "version-mismatch", "invalid-field", "precondition-unreadable"),
)
PUT: Final = Operation(
    tag=_TAG,
    summary="Replace a schedule",
    description="What is left out gets its default; but a schedule whose replacement does not speak of `enabled` stays"
    " paused if it is paused.",
    role=Role.EDITOR,
    parameters=(SCHEDULE_ID, IF_MATCH),
    body=ScheduleDefinition,
    examples=_EXAMPLES,
    replies={200: _CHANGED},
    problems=("not-found", "key-taken", "version-mismatch", "invalid-field", "precondition-unreadable"),
)
PUT_BY_KEY: Final = Operation(
    tag=_TAG,
    summary="Create or replace a schedule by your own key",
    description="Sending the same again changes nothing, not even the version.",
    role=Role.EDITOR,
    parameters=(KEY, IF_MATCH),
    body=ScheduleDefinition,
    examples=_EXAMPLES,
    replies={200: _CHANGED, 201: _MADE},
    problems=("conflict", "version-mismatch", "invalid-field", "precondition-unreadable"),
)
DELETE: Final = Operation(
    tag=_TAG,
    summary="Delete a schedule",
    description="What is under way finishes, what waits ends as CANCELLED, and the history stays. Answered once no"
    " dispatcher can start an attempt any more; 503 where one is silent for five seconds, and 404 to a repetition then"
    " says that it is done.",
    role=Role.EDITOR,
    parameters=(SCHEDULE_ID, IF_MATCH),
    replies={204: Reply("It is gone, and no attempt starts any more.")},
    problems=("not-found", "version-mismatch", "precondition-unreadable"),
)
PAUSE: Final = Operation(
    tag=_TAG,
    summary="Pause a schedule",
    description="What is planned and was not started is withdrawn. Pausing what is paused changes nothing."
    " With `resumeAt` the pause ends by itself, and the schedule goes on from that instant, itself included."
    " Answered once no dispatcher can start an attempt any more; 503 where one is silent for five seconds, and a"
    " repetition waits on.",
    role=Role.OPERATOR,
    parameters=(SCHEDULE_ID, IF_MATCH, IDEMPOTENCY_KEY),
    body=PauseRequest,
    is_body_required=False,
    examples={"Until the new year": {"reason": "stocktaking", "resumeAt": "2030-01-01T00:00:00Z"}},
    replies={200: _CHANGED},
    problems=("not-found", "version-mismatch", "invalid-field", "idempotency-mismatch", "precondition-unreadable"),
)
RESUME: Final = Operation(
    tag=_TAG,
    summary="Resume a schedule",
    description="Fires from now on. With `catchUp` what the pause covered is treated as missed, by the schedule's"
    " misfire policy.",
    role=Role.OPERATOR,
    parameters=(SCHEDULE_ID, IF_MATCH, IDEMPOTENCY_KEY),
    body=ResumeRequest,
    is_body_required=False,
    examples={"From now on": {}, "Catch up": {"catchUp": True}},
    replies={200: _CHANGED},
    problems=("not-found", "version-mismatch", "invalid-field", "idempotency-mismatch", "precondition-unreadable"),
)
TRIGGER: Final = Operation(
    tag=_TAG,
    summary="Run a schedule now",
    description="Makes one MANUAL occurrence, due at once; the plan is not moved. Works while the schedule is paused.",
    role=Role.OPERATOR,
    parameters=(SCHEDULE_ID, IDEMPOTENCY_KEY),
    body=NothingToChoose,
    is_body_required=False,
    replies={202: Reply("The occurrence, due now.", OccurrenceView, headers=("Location",))},
    problems=("not-found", "conflict", "invalid-field", "idempotency-mismatch"),
)
BACKFILL: Final = Operation(
    tag=_TAG,
    summary="Backfill a schedule",
    description="Makes an occurrence of kind BACKFILL for each instant of the past that the rule, as it stands, names"
    " in [`from`, `to`) and that did not run: skipped, cancelled, paused over, or before the schedule was created. What"
    " was delivered, is queued or is a dead letter is left as it is, so asking again makes nothing twice. Up to 1,000"
    " instants a call, delivered at a rate that lets live work pass; the plan is not moved. Works while the schedule is"
    " paused; a later pause stops what is left.",
    role=Role.OPERATOR,
    parameters=(SCHEDULE_ID, IDEMPOTENCY_KEY),
    body=BackfillRequest,
    examples={"A lost morning": {"from": "2026-11-20T06:00:00+01:00", "to": "2026-11-20T12:00:00+01:00"}},
    replies={202: Reply("What was made.", BackfillAnswer)},
    problems=("not-found", "conflict", "invalid-field", "idempotency-mismatch"),
)
AUDIT: Final = Operation(
    tag=_TAG,
    summary="Did everything fire that should have?",
    description="Recomputes what the rule names in [`from`, `to`) and compares it with the queue and the ledger, where"
    " each expected instant has a row, whatever became of it. Only the rule as it stands can be recomputed: the audit"
    " begins no earlier than the schedule's creation, its last edit of when it fires, its last resume without catch-up,"
    " and the oldest month of the ledger, and ends no later than now or a pause. Up to 10,000 instants.",
    role=Role.VIEWER,
    parameters=(
        SCHEDULE_ID,
        instant("from", "The first instant that is looked at; a day before `to`, unless it is sent."),
        instant("to", "The instant before which it ends; now, unless it is sent."),
    ),
    replies={200: Reply("What was found; nothing missing is what is promised.", AuditAnswer)},
    problems=("not-found", "conflict", "invalid-field"),
)
NEXT: Final = Operation(
    tag=_TAG,
    summary="When will a schedule fire next?",
    description="A paused schedule answers as if it were resumed now.",
    role=Role.VIEWER,
    parameters=(SCHEDULE_ID, whole("count", "How many instants.", 10, 1, 1_000)),
    replies={200: Reply("The rule in words, and its next instants.", PreviewAnswer)},
    problems=("not-found", "invalid-field"),
)
PREVIEW: Final = Operation(
    tag=_TAG,
    summary="When would a rule fire?",
    description="Nothing is saved. `after` is now, unless it is sent.",
    role=Role.VIEWER,
    body=PreviewRequest,
    examples={
        "A night without half past two": {
            "trigger": {"type": "CRON", "cron": "30 2 * * *"},
            "tz": "Europe/Berlin",
            "after": "2027-03-27T00:00:00Z",
            "count": 3,
        }
    },
    replies={200: Reply("The rule in words, and its next instants.", PreviewAnswer)},
    problems=("invalid-field",),
)
