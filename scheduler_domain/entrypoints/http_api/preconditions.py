"""`ETag`, `If-Match` and `Idempotency-Key`: how a client says which state it means and which request it repeats."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from litestar import Request

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import Precondition
from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.domain.errors import InvalidRequest, PreconditionUnreadable
from scheduler_domain.entrypoints.http_api.bodies import body_of
from scheduler_domain.entrypoints.http_api.request_scope import Scope, header_values

_VERSION: Final = re.compile(r'"([0-9]{1,9})"')
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,200}")

Result = TypeVar("Result")


def etag(version: int) -> str:
    """Return the strong entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def precondition(scope: Scope) -> Precondition:
    """Return what `If-Match` demands. A foreign or weak tag matches nothing (RFC 9110, section 13.1.1)."""
    sent = header_values(scope, b"if-match")
    if not sent:
        return Precondition()
    text = ", ".join(value.decode("latin-1") for value in sent).strip()
    if text == "*":
        return Precondition(needs_existing=True)
    tags = [tag.strip() for tag in text.split(",")]
    if any(_TAG.fullmatch(tag) is None for tag in tags):
        raise PreconditionUnreadable('If-Match holds entity tags as they were answered, such as "3", or *')
    matches = (_VERSION.fullmatch(tag) for tag in tags)
    return Precondition(frozenset(int(match[1]) for match in matches if match is not None), needs_existing=True)


async def once(request: Request[Any, Any, Any], answer: Callable[[Result], Answer]) -> Once[Result]:
    """Return how this request is answered, and under which `Idempotency-Key` if it has one.

    The fingerprint is of method, path and body: the same key for anything else is a mistake of the client's.
    """
    sent = header_values(request.scope, b"idempotency-key")
    if not sent:
        return Once(answer)
    if len(sent) > 1 or _KEY.fullmatch(sent[0]) is None:
        raise InvalidRequest("Idempotency-Key is one header of 1 to 200 visible ASCII characters")
    asked = b"\n".join([request.method.encode(), request.scope["path"].encode(), await body_of(request)])
    return Once(answer, sent[0].decode("ascii"), hashlib.sha256(asked).digest())
