"""What the routes of templates and instances say of themselves; the OpenAPI document is made of it."""

from typing import Any, Final

from scheduler_domain.domain.roles import Role
from scheduler_domain.domain.template import Template
from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply
from scheduler_domain.entrypoints.http_api.parameters import (
    IDEMPOTENCY_KEY,
    IF_MATCH,
    INSTANCE_KEY,
    PAGING,
    TEMPLATE_NAME,
    choice,
)
from scheduler_domain.entrypoints.http_api.templates.payloads import (
    BatchLine,
    InstanceLine,
    InstanceRequest,
    StoredTemplatesView,
    StoredTemplateView,
    TemplateInstancesView,
    TemplateInstanceView,
    TemplatePreviewAnswer,
    TemplatePreviewRequest,
    UnsavedPreviewRequest,
)

_TEMPLATES: Final = "Templates"
_INSTANCES: Final = "Template instances"
_NDJSON: Final = "application/x-ndjson"
_ADA: Final[dict[str, Any]] = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "dateOfBirth": "1988-02-29",
    "tz": "Europe/London",
}
_RENEWAL: Final[dict[str, Any]] = {
    "name": "renewal",
    "title": "Contract renewal",
    "parameters": {
        "type": "object",
        "properties": {
            "customer": {"type": "string", "maxLength": 100},
            "endsOn": {"type": "string", "format": "date", "examples": ["2099-12-31"]},
        },
        "required": ["customer", "endsOn"],
    },
    "blueprint": {
        "name": "Renewal of ${customer}",
        "tz": "Europe/Berlin",
        "trigger": {
            "type": "RRULE",
            "rrule": "FREQ=YEARLY;BYMONTH=${endsOn.month};BYMONTHDAY=${endsOn.day}",
            "dtstart": "1970-01-01T08:00",
        },
        "target": {"kind": "QUEUE", "queue": {"topic": "renewals"}},
        "payload": {"customer": "${customer}", "due": "${localDate}"},
    },
}
_ONE: Final = Reply("The template as it stands.", StoredTemplateView, headers=("ETag",))
_MADE: Final = Reply("The template is stored.", StoredTemplateView, headers=("ETag", "Location"))
_INSTANCE: Final = Reply(
    "The instance as it stands; `ETag` is its schedule's.", TemplateInstanceView, headers=("ETag",)
)
_INSTANCE_MADE: Final = Reply(
    "The instance is stored, and will fire.", TemplateInstanceView, headers=("ETag", "Location")
)
_WRITES: Final = ("not-found", "version-mismatch", "precondition-unreadable")

LIST: Final = Operation(
    tag=_TEMPLATES,
    summary="List templates",
    description="The built-in ones, then the tenant's own, each by name.",
    role=Role.VIEWER,
    parameters=PAGING[:2],
    replies={200: Reply("One page.", StoredTemplatesView)},
    problems=("invalid-field",),
)
CREATE: Final = Operation(
    tag=_TEMPLATES,
    summary="Create a template",
    description="The schema, the blueprint and a schedule made from sample parameters (defaults, examples, or what the"
    " types suggest) are checked now.",
    role=Role.ADMIN,
    parameters=(IDEMPOTENCY_KEY,),
    body=Template,
    examples={"A yearly message before a contract ends": _RENEWAL},
    replies={201: _MADE},
    problems=("conflict", "key-taken", "invalid-field", "idempotency-mismatch"),
)
GET: Final = Operation(
    tag=_TEMPLATES,
    summary="Get a template",
    description="While its instances follow a change, `replanning` tells how many have.",
    role=Role.VIEWER,
    parameters=(TEMPLATE_NAME,),
    replies={200: _ONE},
    problems=("not-found",),
)
PUT: Final = Operation(
    tag=_TEMPLATES,
    summary="Create or replace a template",
    description="A change is the next version. Its instances follow in the background, and none fires twice for it.",
    role=Role.ADMIN,
    parameters=(TEMPLATE_NAME, IF_MATCH),
    body=Template,
    examples={"A yearly message before a contract ends": _RENEWAL},
    replies={200: _ONE, 201: _MADE},
    problems=(*_WRITES, "conflict", "key-taken", "invalid-field"),
)
DELETE: Final = Operation(
    tag=_TEMPLATES,
    summary="Delete a template",
    description="One with instances stays, and the refusal says how many there are.",
    role=Role.ADMIN,
    parameters=(TEMPLATE_NAME, IF_MATCH),
    replies={204: Reply("It is gone.")},
    problems=(*_WRITES, "conflict"),
)
PREVIEW: Final = Operation(
    tag=_TEMPLATES,
    summary="What would an instance be?",
    description="The schedule that these parameters make, when it fires next, and what becomes of 29 February in common"
    " years. Nothing is saved.",
    role=Role.VIEWER,
    parameters=(TEMPLATE_NAME,),
    body=TemplatePreviewRequest,
    examples={"Born on 29 February": {"parameters": {**_ADA, "leapDay": "MAR_1"}, "count": 3}},
    replies={200: Reply("The schedule, in words and instants.", TemplatePreviewAnswer)},
    problems=("not-found", "invalid-field"),
)
PREVIEW_UNSAVED: Final = Operation(
    tag=_TEMPLATES,
    summary="What would an instance of an unsaved template be?",
    role=Role.VIEWER,
    body=UnsavedPreviewRequest,
    examples={"A renewal": {"template": _RENEWAL, "parameters": {"customer": "ACME", "endsOn": "2027-06-30"}}},
    replies={200: Reply("The schedule, in words and instants.", TemplatePreviewAnswer)},
    problems=("invalid-field",),
)
LIST_INSTANCES: Final = Operation(
    tag=_INSTANCES,
    summary="List instances",
    description="In the order of their keys. `total` is exact up to 10,000.",
    role=Role.EDITOR,
    parameters=(TEMPLATE_NAME, *PAGING),
    replies={200: Reply("One page.", TemplateInstancesView)},
    problems=("not-found", "invalid-field"),
)
GET_INSTANCE: Final = Operation(
    tag=_INSTANCES,
    summary="Get an instance",
    role=Role.EDITOR,
    parameters=(TEMPLATE_NAME, INSTANCE_KEY),
    replies={200: _INSTANCE},
    problems=("not-found", "invalid-field"),
)
PUT_INSTANCE: Final = Operation(
    tag=_INSTANCES,
    summary="Create or change an instance",
    description="The same parameters change nothing. Others re-plan its schedule; what was fired today is not fired"
    " again on that local date.",
    role=Role.EDITOR,
    parameters=(TEMPLATE_NAME, INSTANCE_KEY, IF_MATCH),
    body=InstanceRequest,
    examples={"A birthday": {"parameters": _ADA}},
    replies={
        200: _INSTANCE,
        201: Reply("The instance is stored, and will fire.", TemplateInstanceView, headers=("ETag", "Location")),
    },
    problems=(*_WRITES, "conflict", "invalid-field"),
)
BATCH: Final = Operation(
    tag=_INSTANCES,
    summary="Create or change many instances",
    description="A body of any length, one line an instance: `application/x-ndjson`, or an array as `application/json`."
    " Each line is an upsert: a line that says nothing new changes nothing, so a request that broke off is simply sent"
    " again. The answer is NDJSON: a line for each line, in order, and a summary. It begins while the request is still"
    " being sent; a client that reads only afterwards misses results once 8 MiB wait for it: ask for `results=failed`."
    " The last line is `{summary: {created, changed, unchanged, failed}, dryRun, resultsOmitted, aborted}`, where"
    " `aborted` says why not all of the body was read. A line has 16 KiB at most.",
    role=Role.EDITOR,
    parameters=(
        TEMPLATE_NAME,
        Parameter(
            "dryRun", "query", "Say what would change, and change nothing.", {"type": "boolean", "default": False}
        ),
        choice("results", "Tell of every line, or only of those that failed.", ("all", "failed")),
    ),
    body=InstanceLine,
    body_media_types=(_NDJSON, "application/json"),
    examples={"One line": {"key": "ada", "parameters": _ADA}},
    replies={200: Reply("A line for each line, in order. The last is the summary.", BatchLine, media_type=_NDJSON)},
    problems=("not-found", "invalid-field"),
)
DELETE_INSTANCE: Final = Operation(
    tag=_INSTANCES,
    summary="Delete an instance",
    description="Its schedule goes with it: once this is answered, nothing of it starts any more.",
    role=Role.EDITOR,
    parameters=(TEMPLATE_NAME, INSTANCE_KEY, IF_MATCH),
    replies={204: Reply("It is gone.")},
    problems=(*_WRITES, "invalid-field"),
)
