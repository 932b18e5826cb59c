"""Every refusal as `application/problem+json` (RFC 9457), from one table; nothing else answers with an error.

The table is what docs/errors.md shows; a test holds the two together.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from scheduler_domain.domain.errors import InvalidRequest, Problem, SchedulerError, Unavailable
from scheduler_domain.entrypoints.http_api.limits import TooManyRequests
from scheduler_domain.entrypoints.http_api.request_scope import request_id

MEDIA_TYPE: Final = "application/problem+json"
_MOST_ERRORS: Final = 20
_LONGEST_MESSAGE: Final = 500
_log = structlog.get_logger(__name__)

STATUS_BY_CODE: Final = {
    "invalid-request": HTTPStatus.BAD_REQUEST,
    "precondition-unreadable": HTTPStatus.BAD_REQUEST,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "conflict": HTTPStatus.CONFLICT,
    "key-taken": HTTPStatus.CONFLICT,
    "not-awaited": HTTPStatus.CONFLICT,
    "version-mismatch": HTTPStatus.PRECONDITION_FAILED,
    "payload-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "invalid-field": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency-mismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too-many-requests": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
TITLES: Final = {
    "invalid-request": "The request cannot be read",
    "precondition-unreadable": "The precondition cannot be read",
    "unauthenticated": "A valid bearer token is required",
    "forbidden": "Not allowed",
    "not-found": "Not found",
    "method-not-allowed": "Method not allowed here",
    "conflict": "In conflict with the present state",
    "key-taken": "The key is taken",
    "not-awaited": "No callback is awaited",
    "version-mismatch": "Changed meanwhile",
    "payload-too-large": "The body is too large",
    "unsupported-media-type": "The body's type is not accepted",
    "invalid-field": "Not acceptable as it stands",
    "idempotency-mismatch": "The idempotency key belongs to another request",
    "too-many-requests": "Too many requests",
    "internal": "Something went wrong on our side",
    "unavailable": "Temporarily unavailable",
}
_CODE_BY_STATUS: Final = {
    HTTPStatus.BAD_REQUEST: "invalid-request",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "payload-too-large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
}
_DETAILS: Final = {
    "not-found": "there is nothing at this address",
    "payload-too-large": "a body has 256 KiB at most",
}


class ProblemDocument(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is wrong, as the client reads it. `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[Problem] = []


def answer_problem(
    request: Request[Any, Any, Any],
    code: str,
    detail: str,
    problems: tuple[Problem, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Return the response for a problem; long texts and long lists are cut, so no answer grows with the request."""
    status = STATUS_BY_CODE[code]
    document = ProblemDocument(
        type=f"urn:scheduler-domain:problem:{code}",
        title=TITLES[code],
        status=status.value,
        detail=detail[:_LONGEST_MESSAGE],
        instance=request.scope["path"][:_LONGEST_MESSAGE],
        code=code,
        request_id=request_id(request.scope),
        errors=[Problem(item.pointer, item.code, item.message[:_LONGEST_MESSAGE]) for item in problems[:_MOST_ERRORS]],
    )
    return Response(msgspec.json.encode(document), status_code=status.value, media_type=MEDIA_TYPE, headers=headers)


def answer_refusal(request: Request[Any, Any, Any], error: SchedulerError) -> Response[bytes]:
    """Answer one of our own refusals."""
    headers: dict[str, str] = {}
    if error.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Unavailable | TooManyRequests):
        headers["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    return answer_problem(request, error.code, error.message, problems, headers)


def answer_framework_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses: no such route, no such method, a body that is too large."""
    code = _CODE_BY_STATUS.get(HTTPStatus(error.status_code), "internal")
    if code == "internal":
        return answer_defect(request, error)
    allow = (error.headers or {}).get("allow")
    detail = f"accepted here: {allow}" if allow else _DETAILS.get(code, error.detail)
    return answer_problem(request, code, detail, headers={"Allow": allow} if allow else None)


def answer_defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what nobody foresaw, without saying what it was; the log has it under the request's id."""
    _log.error("http_api.defect", request_id=request_id(request.scope), path=request.scope["path"], exc_info=error)
    return answer_problem(request, "internal", "name the request id when you report this")
