"""The OpenAPI 3.1 document, made of what the routes say of themselves; and the command that keeps its copy true.

python -m scheduler_domain.entrypoints.http_api.openapi --write FILE | --check FILE
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from scheduler_domain import __version__
from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply, operation_of
from scheduler_domain.entrypoints.http_api.problems import MEDIA_TYPE, STATUS_BY_CODE, TITLES, ProblemDocument
from scheduler_domain.entrypoints.http_api.schedules.payloads import After, Before

_REFERENCE: Final = "#/components/schemas/{name}"
_RESPONSE: Final = "#/components/responses/{name}"
_ALWAYS: Final = ("method-not-allowed", "internal")
_WITH_TOKEN: Final = ("invalid-request", "unauthenticated", "forbidden", "too-many-requests", "unavailable")
_WITH_BODY: Final = ("payload-too-large", "unsupported-media-type")
_ABOUT: Final = """Schedules that fire at the right local instant, are delivered once in effect, and are provable \
afterwards.

Every request names its tenant in `X-Tenant-Id`, and brings a bearer token that speaks for it. Instants are RFC 3339 \
in UTC. Unknown fields are refused, so that a typo never changes when something fires. Every refusal is \
`application/problem+json` (RFC 9457) with a stable `code`, and names each place that is at fault by a JSON pointer; \
parameters of the query stand under `/query`."""
_HEADERS: Final = {
    "ETag": "The version, to send back as `If-Match`.",
    "Location": "Where the new thing can be read.",
    "X-Request-Id": "Names this request in our logs; a sane one that you send is kept.",
    "Retry-After": "Seconds until it is worth asking again.",
    "WWW-Authenticate": "`Bearer`.",
    "Allow": "The methods that are accepted here.",
}
_PROBLEM_HEADERS: Final = {
    "unauthenticated": ("WWW-Authenticate",),
    "too-many-requests": ("Retry-After",),
    "unavailable": ("Retry-After",),
    "method-not-allowed": ("Allow",),
}
_TENANT: Final = Parameter(
    "X-Tenant-Id", "header", "The tenant that the token speaks for.", {"type": "string"}, is_required=True
)


def document_of(handlers: Iterable[HTTPRouteHandler]) -> dict[str, Any]:
    """Return the document: one operation for each path and method, in the order of the routes."""
    described = [(handler, operation) for handler in handlers if (operation := operation_of(handler)) is not None]
    paths: dict[str, dict[str, Any]] = {}
    for handler, operation in described:
        for position, path in enumerate(sorted(handler.paths, key=len)):
            for method in sorted(handler.http_methods):
                place = paths.setdefault(path.replace(":str}", "}"), {})
                place[method.lower()] = _operation(handler, operation, position)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scheduler-domain",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for _, operation in described)],
        "paths": paths,
        "components": {
            "schemas": _schemas(operation for _, operation in described),
            "responses": _problems(operation for _, operation in described),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                **{name: _own_scheme() for _, operation in described if (name := operation.own_token) is not None},
            },
        },
    }


def encoded(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _operation(handler: HTTPRouteHandler, operation: Operation, position: int) -> dict[str, Any]:
    name = handler.fn.__name__
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "operationId": name if position == 0 else f"{name}_{position + 1}",
        "summary": operation.summary,
    }
    if operation.description:
        described["description"] = operation.description
    if not operation.is_public:
        described["security"] = [{"token": []}]
        described["x-role"] = operation.role
    if operation.own_token is not None:
        described["security"] = [{operation.own_token: []}]
    parameters = operation.parameters if operation.is_public else (_TENANT, *operation.parameters)
    if parameters:
        described["parameters"] = [_parameter(parameter) for parameter in parameters]
    if operation.body is not None:
        described["requestBody"] = _body(operation)
    described["responses"] = _responses(operation)
    return described


def _own_scheme() -> dict[str, Any]:
    described = "The token that the delivery brought: no other is needed, and it opens this occurrence alone."
    return {"type": "http", "scheme": "bearer", "description": described}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {"name": parameter.name, "in": parameter.place, "description": parameter.description}
    return {**described, "required": parameter.is_required, "schema": parameter.schema}


def _body(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(operation.body)}
    if operation.examples:
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
    return {
        "required": operation.is_body_required,
        "content": dict.fromkeys(operation.body_media_types, content),
    }


def _responses(operation: Operation) -> dict[str, Any]:
    responses = {str(status): _reply(reply) for status, reply in operation.replies.items()}
    for status, codes in _problem_codes(operation).items():
        responses.setdefault(str(status), {"$ref": _RESPONSE.format(name=_problem_name(codes))})
    return dict(sorted(responses.items()))


def _problem_codes(operation: Operation) -> dict[int, list[str]]:
    """Return the codes that the operation can be refused with, by status."""
    told = {*operation.problems, *_ALWAYS}
    if not operation.is_public:
        told.update(_WITH_TOKEN)
    if operation.body is not None:
        told.update(_WITH_BODY)
    codes: dict[int, list[str]] = {}
    for code, status in STATUS_BY_CODE.items():
        if code in told:
            codes.setdefault(status.value, []).append(code)
    return codes


def _problem_name(codes: list[str]) -> str:
    return "Or".join("".join(word.capitalize() for word in code.split("-")) for code in codes)


def _problems(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return every combination of problems that some operation answers under one status."""
    combinations = {
        _problem_name(codes): codes
        for operation in operations
        for status, codes in _problem_codes(operation).items()
        if status not in operation.replies
    }
    return {name: _problem(codes) for name, codes in sorted(combinations.items())}


def _reply(reply: Reply) -> dict[str, Any]:
    described: dict[str, Any] = {"description": reply.description, "headers": _headers(*reply.headers)}
    if reply.body is not None:
        described["content"] = {reply.media_type: {"schema": _schema(reply.body)}}
    return described


def _problem(codes: list[str]) -> dict[str, Any]:
    headers = [header for code in codes for header in _PROBLEM_HEADERS.get(code, ())]
    return {
        "description": "; ".join(f"{TITLES[code]} (`{code}`)" for code in codes) + ".",
        "headers": _headers(*headers),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in ("X-Request-Id", *names)}


def _schema(kind: Any) -> dict[str, Any]:
    """Return a reference to a type's or a name's component; a schema that is written out stays as it is."""
    if isinstance(kind, dict):
        return kind
    return {"$ref": _REFERENCE.format(name=kind if isinstance(kind, str) else _name(kind.__name__))}


def _name(type_name: str) -> str:
    """Return the name that a type has in the document: what it is, not what role it plays in our code."""
    return type_name.removesuffix("View").replace("ProblemDocument", "Problem").replace("Answer", "")


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    kinds = [*_kinds(operations), Before, After, ProblemDocument]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    before, after = components.pop("Before"), components.pop("After")
    definition = components["ScheduleDefinition"]
    schedule = {
        "title": "Schedule",
        "type": "object",
        "description": "A stored schedule: what its tenant decided, and what the platform knows of it.",
        "properties": {**before["properties"], **definition["properties"], **after["properties"]},
        "required": [*before["required"], *definition["properties"], *after["required"]],
    }
    schemas = {"Schedule": schedule, "Schedules": _page_of("Schedule"), **components}
    return {_component(name): _renamed(schema) for name, schema in schemas.items()}


def _component(name: str) -> str:
    return "ProblemPlace" if name == "Problem" else _name(name)


def _renamed(value: Any) -> Any:
    """Return the value with each reference to a component under that component's name in the document."""
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    prefix = _REFERENCE.format(name="")
    renamed = {name: _renamed(member) for name, member in value.items()}
    if isinstance(value.get("$ref"), str):
        renamed["$ref"] = prefix + _component(value["$ref"].removeprefix(prefix))
    if isinstance(value.get("title"), str):
        renamed["title"] = _component(value["title"])
    return renamed


def _page_of(item: str) -> dict[str, Any]:
    return {
        "title": f"{item}s",
        "type": "object",
        "description": "One page; `nextCursor` leads to the next, null on the last.",
        "properties": {
            "items": {"type": "array", "items": {"$ref": _REFERENCE.format(name=item)}},
            "page": {"type": "integer"},
            "pageSize": {"type": "integer"},
            "total": {"type": "integer"},
            "nextCursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["items", "page", "pageSize", "total", "nextCursor"],
    }


def _kinds(operations: Iterable[Operation]) -> Iterator[type]:
    seen: dict[type, None] = {}
    for operation in operations:
        for kind in (operation.body, *(reply.body for reply in operation.replies.values())):
            if isinstance(kind, type):
                seen[kind] = None
    yield from seen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the OpenAPI document to a file, or check that the file is it.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", type=Path, metavar="FILE")
    choice.add_argument("--check", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    from scheduler_domain.entrypoints.http_api.app import ROUTES  # noqa: PLC0415 - the routes serve this document

    content = encoded(document_of(ROUTES))
    if chosen.write is not None:
        chosen.write.write_bytes(content)
        return 0
    if not chosen.check.exists() or chosen.check.read_bytes() != content:
        sys.stderr.write(
            f"{chosen.check} is not what the API serves; write it anew with\n"
            f"  python -m scheduler_domain.entrypoints.http_api.openapi --write {chosen.check}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
