"""Parameters and answers that many routes share, described once."""

from typing import Any, Final

from scheduler_domain.entrypoints.http_api.operations import Parameter

_UUID: Final = {"type": "string", "format": "uuid"}
_INSTANT: Final = {"type": "string", "format": "date-time"}

SCHEDULE_ID: Final = Parameter("schedule_id", "path", "The schedule's id.", _UUID, is_required=True)
OCCURRENCE_ID: Final = Parameter("occurrence_id", "path", "The occurrence's id.", _UUID, is_required=True)


def _in_path(name: str, description: str, longest: int, example: str) -> Parameter:
    schema = {"type": "string", "maxLength": longest, "examples": [example]}
    return Parameter(name, "path", description, schema, is_required=True)


KEY: Final = _in_path("key", "The key its tenant gave the schedule.", 200, "daily-report")
TENANT_ID: Final = _in_path("tenant_id", "The tenant's id, as its tokens name it.", 63, "acme")
TEMPLATE_NAME: Final = _in_path("name", "The template's name, built in or the tenant's own.", 63, "birthday")
INSTANCE_KEY: Final = _in_path(
    "key", "The key that the caller knows the person, contract or reminder by.", 200, "customer-4711"
)
IF_MATCH: Final = Parameter(
    "If-Match", "header", 'Change it only if it still has one of these versions, as `ETag` answered them: `"3"`.'
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "A key of your own, up to 200 visible characters, the same on each repetition of this request: within 24 hours it"
    " is answered as it was the first time, and causes nothing again.",
)


def choice(name: str, description: str, values: tuple[str, ...]) -> Parameter:
    return Parameter(name, "query", description, {"type": "string", "enum": list(values)})


def instant(name: str, description: str) -> Parameter:
    return Parameter(name, "query", description, _INSTANT)


def whole(name: str, description: str, default: int, least: int, most: int) -> Parameter:
    schema: dict[str, Any] = {"type": "integer", "default": default, "minimum": least, "maximum": most}
    return Parameter(name, "query", description, schema)


PAGING: Final = (
    whole("page", "Which page, from 1. Pages reach 10,000 rows; from there on, follow `nextCursor`.", 1, 1, 1_000_000),
    whole("pageSize", "How many items a page has.", 20, 1, 200),
    Parameter("cursor", "query", "The `nextCursor` of the page before, with the same filters and order."),
)
