"""A template: a schedule with places in it, and what may be put there. Data from end to end, ours and a tenant's alike.

A template is parameters (a JSON Schema, domain/parameters.py) and a blueprint (a schedule definition with places,
domain/blueprint.py). An instance is one person, contract or reminder under the caller's own key: an ordinary schedule
that remembers which template, which version and which parameters made it.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from scheduler_domain.domain.errors import InvalidField

LARGEST_TEMPLATE: Final = 64 * 1024
"""Bytes of a template as JSON: it is compiled, and kept compiled, by whoever applies it."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_RESERVED: Final = frozenset({"preview"})


class Template(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What its author decides. A new version takes the place of the old one."""

    name: str
    title: Annotated[str, Meta(max_length=200)] = ""
    description: Annotated[str, Meta(max_length=2_000)] = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    blueprint: dict[str, Any]


class Replanning(Struct, frozen=True):
    """How far the instances have followed the newest version: `failed` kept the one before, with their reason."""

    total: int
    done: int
    failed: int


class StoredTemplate(Struct, frozen=True, kw_only=True):
    """A template as it stands; a built-in one has no instants of its own, since it comes with the release."""

    template: Template
    version: int
    is_built_in: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    replanning: Replanning | None = None


class InstanceOrigin(Struct, frozen=True, gc=False):
    """What made a schedule: template, version, the caller's key, and the parameters as canonical JSON text."""

    template: str
    version: int
    key: str
    parameters: str


class TemplateInstance(Struct, frozen=True, kw_only=True):
    """An instance as it stands. `problem` says why it could not follow its template to the newest version."""

    origin: InstanceOrigin
    schedule_id: UUID
    schedule_version: int
    state: str
    next_fire_at: datetime | None
    created_at: datetime
    updated_at: datetime
    problem: str | None = None


def is_name(text: str) -> bool:
    """Return whether a template could be named so; what could not, such as a NUL, is never asked of the store."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str, pointer: str) -> None:
    """Raise InvalidField unless the name can stand in a path, and in no path of ours."""
    if not is_name(name):
        message = "a template's name is 1 to 63 of A-Z a-z 0-9 _ - and begins with a letter or digit"
        raise InvalidField.at(pointer, "invalid-name", message)
    if name in _RESERVED:
        raise InvalidField.at(pointer, "reserved-name", f"{name} is an address of the API; choose another name")


def name_taken(name: str) -> str:
    """Return the sentence that refuses a second template of one name."""
    return f"there is a template {name}; change that one, or choose another name"


def canonical(parameters: dict[str, Any]) -> str:
    """Return the parameters as the JSON text that equal parameters share, in whatever order they were sent.

    >>> canonical({"b": 1, "a": "x"})
    '{"a":"x","b":1}'
    """
    return _encode(parameters).decode()


_encode = msgspec.json.Encoder(order="deterministic").encode


def encoded_size(template: Template) -> int:
    """Return how many bytes the template has as JSON."""
    return len(_encode(template))
