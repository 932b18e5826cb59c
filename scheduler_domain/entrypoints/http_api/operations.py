"""What a route says of itself beside its path: who may use it, what it takes and what it answers.

Routes carry it, the door reads the role from it, and the OpenAPI document is made of it: one place a route.
"""

from typing import Any, Final

from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct, field

from scheduler_domain.domain.roles import Role

_OPERATION: Final = "operation"


class Parameter(Struct, frozen=True):
    """A query parameter, a header or a path segment, with its JSON Schema."""

    name: str
    place: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


class Reply(Struct, frozen=True):
    """An answer that is no problem; `body` is a type with a schema, or None for an answer without content."""

    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    example: Any = None


class Operation(Struct, frozen=True, kw_only=True):
    """`role` None and not public: open to nobody."""

    tag: str
    summary: str
    description: str = ""
    role: Role | None = None
    is_public: bool = False
    own_token: str | None = None
    """What the token is called that a public operation asks for itself, in place of a tenant's."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_media_types: tuple[str, ...] = ("application/json",)
    is_body_required: bool = True
    examples: dict[str, Any] = field(default_factory=dict)
    replies: dict[int, Reply] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def told(operation: Operation) -> dict[str, Any]:
    """Return the `opt` of a route handler."""
    return {_OPERATION: operation}


def operation_of(handler: BaseRouteHandler) -> Operation | None:
    """Return what a route says of itself; None for those that the framework adds (OPTIONS)."""
    operation = handler.opt.get(_OPERATION)
    assert operation is None or isinstance(operation, Operation)
    return operation
