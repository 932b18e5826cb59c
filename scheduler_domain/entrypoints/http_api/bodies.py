"""Request bodies: read within bounds, parsed strictly, turned into typed values, refused with a pointer.

The decoder stops at the first thing wrong and says so in its own words; here these become a JSON pointer, a code, and
what would have been accepted, with a guess at what was meant.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from msgspec import inspect

from scheduler_domain.domain.errors import Forbidden, InvalidField, InvalidRequest, Problem, SchedulerError
from scheduler_domain.domain.strict_json import NotStrictJson, parse_strictly
from scheduler_domain.domain.validation import escaped
from scheduler_domain.entrypoints.http_api.request_scope import header_values

LARGEST_BODY: Final = 256 * 1024
_BODY: Final = "scheduler_body"
DEEPEST_BODY: Final = 16
_MEDIA_TYPE: Final = re.compile(rb"application/(merge-patch\+)?json(\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)
_PLACE: Final = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*?)`", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.*?)`")
_RANGE: Final = re.compile(r"^Expected .* (of length )?(<=|>=|<|>) ")
# Set by the platform and answered with each schedule: sent back, they would look as if they could be changed.
_READ_ONLY: Final = frozenset(
    {
        "id",
        "state",
        "stateReason",
        "revision",
        "version",
        "nextFireAt",
        "lastFireAt",
        "createdAt",
        "updatedAt",
        "createdBy",
    }
)

Value = TypeVar("Value")


class NothingToChoose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object; nothing can be chosen yet."""


class UnsupportedMediaType(SchedulerError):
    code = "unsupported-media-type"


class BodyTooLarge(SchedulerError):
    code = "payload-too-large"


async def body_of(request: Request[Any, Any, Any]) -> bytes:
    """Return the body, read once; BodyTooLarge as soon as more bytes came than are accepted, whatever was announced."""
    known: bytes | None = request.scope.get(_BODY)  # type: ignore[assignment]  # the scope's type knows no keys of ours
    if known is not None:
        return known
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise InvalidRequest("the connection was closed before the body was complete")
        chunks.append(message["body"])
        size += len(message["body"])
        if size > LARGEST_BODY:
            raise BodyTooLarge(f"a body has {LARGEST_BODY // 1024} KiB at most")
        more = message["more_body"]
    body = request.scope[_BODY] = b"".join(chunks)  # type: ignore[typeddict-unknown-key]  # as above
    return body


async def read_json(request: Request[Any, Any, Any], *, is_required: bool = True, is_patch: bool = False) -> Any:
    """Return the body's JSON value; an absent optional body is an empty object.

    Raises UnsupportedMediaType, InvalidRequest where it is not strict JSON, and BodyTooLarge.
    """
    body = await body_of(request)
    if not body and not is_required:
        return {}
    _check_media_type(request, is_patch)
    try:
        return parse_strictly(body, DEEPEST_BODY)
    except NotStrictJson as error:
        raise InvalidRequest(str(error), (Problem("", error.code, str(error)),)) from None


async def read_document(
    request: Request[Any, Any, Any], tenant_id: str, *, is_required: bool = True, is_patch: bool = False
) -> Any:
    """As `read_json`, without the `tenantId` that a client may repeat; Forbidden where it names another tenant."""
    return _without_tenant(await read_json(request, is_required=is_required, is_patch=is_patch), tenant_id)


async def read_as(
    request: Request[Any, Any, Any], tenant_id: str, kind: type[Value], *, is_required: bool = True
) -> Value:
    """As `read_document`, as `kind`; InvalidField at the first place that does not fit."""
    return typed(await read_document(request, tenant_id, is_required=is_required), kind)


def _without_tenant(value: Any, tenant_id: str) -> Any:
    if not isinstance(value, dict) or "tenantId" not in value:
        return value
    if value["tenantId"] != tenant_id:
        raise Forbidden("tenantId names another tenant than X-Tenant-Id and the token do")
    return {name: member for name, member in value.items() if name != "tenantId"}


def typed(value: Any, kind: type[Value]) -> Value:
    """Return the value as `kind`; InvalidField at the first place that does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = _problem(str(error), kind)
        raise InvalidField(problem.message, (problem,)) from None


def _check_media_type(request: Request[Any, Any, Any], is_patch: bool) -> None:
    if header_values(request.scope, b"content-encoding"):
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    sent = header_values(request.scope, b"content-type")
    match = _MEDIA_TYPE.fullmatch(sent[0]) if len(sent) == 1 else None
    if match is None or (match[1] and not is_patch):
        wanted = "application/merge-patch+json or application/json" if is_patch else "application/json"
        raise UnsupportedMediaType(f"send the body with Content-Type: {wanted}")


def _problem(message: str, kind: type) -> Problem:
    place = _PLACE.search(message)
    steps = _steps(place[1]) if place else []
    text = message[: place.start()] if place else message
    pointer = "".join(f"/{escaped(step)}" for step in steps if step != "...")
    if (unknown := _UNKNOWN.match(text)) is not None:
        return _unknown_field(unknown[1], pointer, _fields(kind, steps))
    if (missing := _MISSING.match(text)) is not None:
        return Problem(f"{pointer}/{escaped(missing[1])}", "required", f"{missing[1]} is required")
    if text.startswith(("Invalid enum value", "Invalid value")):
        accepted = ", ".join(_accepted(kind, steps))
        return Problem(pointer, "invalid-value", f"{accepted} are accepted" if accepted else _lowered(text))
    code = "out-of-range" if _RANGE.match(text) else "invalid-type" if text.startswith("Expected") else "invalid-value"
    return Problem(pointer, code, _lowered(text))


def _unknown_field(name: str, pointer: str, known: list[str]) -> Problem:
    place = f"{pointer}/{escaped(name)}"
    shown = name[:100]
    if not pointer and name in _READ_ONLY:
        return Problem(place, "read-only-field", f"{shown} is set by the platform; leave it out")
    close = get_close_matches(shown, known, n=1) or get_close_matches(shown.lower(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known) or 'none'}"
    return Problem(place, "unknown-field", f"{shown} is not known here; {hint}")


def _steps(path: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(path)]


def _fields(kind: type, steps: list[str]) -> list[str]:
    """Return the fields that an object at this place can have, in the words of the wire."""
    return sorted(
        {name for node in _nodes(kind, steps) if isinstance(node, inspect.StructType) for name in _encoded(node)}
    )


def _encoded(node: inspect.StructType) -> list[str]:
    names = [item.encode_name for item in node.fields]
    return [node.tag_field, *names] if node.tag_field is not None else names


def _accepted(kind: type, steps: list[str]) -> list[str]:
    """Return the values that a place accepts, where these can be listed; a tag's are those of its union."""
    values: set[str] = set()
    for node in _nodes(kind, steps):
        if isinstance(node, inspect.LiteralType):
            values.update(str(value) for value in node.values)
        elif isinstance(node, inspect.EnumType):
            values.update(str(item.value) for item in node.cls)
    for node in _nodes(kind, steps[:-1]) if steps else []:
        if isinstance(node, inspect.StructType) and node.tag_field == steps[-1]:
            values.add(str(node.tag))
    return sorted(values)


def _nodes(kind: type, steps: list[str]) -> Iterator[inspect.Type]:
    nodes = list(_alternatives(inspect.type_info(kind)))
    for step in steps:
        nodes = [inner for node in nodes for inner in _inside(node, step)]
    yield from nodes


def _inside(node: inspect.Type, step: str) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.StructType):
        for item in node.fields:
            if item.encode_name == step:
                yield from _alternatives(item.type)
    elif isinstance(node, inspect.ListType):
        yield from _alternatives(node.item_type)
    elif isinstance(node, inspect.DictType):
        yield from _alternatives(node.value_type)


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        yield from node.types
    elif isinstance(node, inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
