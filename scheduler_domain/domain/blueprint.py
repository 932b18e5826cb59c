"""From a blueprint and parameters to a schedule definition: places filled, choices made, nothing evaluated.

A blueprint is a schedule definition in which

- a text holds places: `${sendAt}`, and of a date `${dateOfBirth.year}`, `.month`, `.day`, `.yearDay`;
- a text that is one place and nothing else becomes the parameter's value, in the parameter's own type;
- an object `{"$choose": TEXT, "cases": {TEXT: ANY, …}, "otherwise": ANY}` becomes the case that the filled text names.

That is all, so a blueprint always ends, costs what its size says, and can be judged when it is saved. In payload and
target, places that only an occurrence can fill (`${localDate}`) stay as they are, and a parameter's own dollars are
doubled, so that no parameter is ever read as a place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from scheduler_domain.domain.errors import InvalidField, Problem
from scheduler_domain.domain.payload import PLACE_NAMES
from scheduler_domain.domain.validation import escaped

DATE_PARTS: Final = ("year", "month", "day", "yearDay")
DEEPEST: Final = 12
MOST_NODES: Final = 2_000
_CHOOSE: Final = "$choose"
_CHOICE: Final = frozenset({_CHOOSE, "cases", "otherwise"})
_PLACE: Final = re.compile(r"\$(?:\$|\{([^{}\"\\]*)\})")
_FIRED_WITH: Final = ("payload", "target")
_URL: Final = ("target", "http", "url")

Values = Mapping[str, Any]
"""Parameters by name, defaults included; `key` is the instance's own."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """A parameter, or a part of one that is a date."""

    name: str
    part: str | None = None

    def value(self, values: Values) -> Any:
        value = values[self.name]
        return value if self.part is None else _date_part(value, self.part)

    def __str__(self) -> str:
        return self.name if self.part is None else f"{self.name}.{self.part}"


class Node(Protocol):
    """A part of a blueprint. `places` are those that its value depends on."""

    @property
    def places(self) -> frozenset[Place]: ...

    def fill(self, values: Values) -> Any:
        """Return the JSON value; InvalidField where a choice has no case for it."""


class Verbatim(msgspec.Struct, frozen=True):
    """A part without places; its value is shared by all definitions, which never change it."""

    value: Any
    places: frozenset[Place] = frozenset()

    def fill(self, _: Values) -> Any:
        return self.value


class Whole(msgspec.Struct, frozen=True):
    """A text that is one place: the value itself, in its own type."""

    place: Place
    doubles_dollars: bool

    @property
    def places(self) -> frozenset[Place]:
        return frozenset({self.place})

    def fill(self, values: Values) -> Any:
        value = self.place.value(values)
        return _with_doubled_dollars(value) if self.doubles_dollars else value


class Text(msgspec.Struct, frozen=True):
    """Text around places; in a URL each value is percent-encoded, so that it stays within its part of the URL."""

    pieces: tuple[str | Place, ...]
    doubles_dollars: bool
    is_url: bool

    @property
    def places(self) -> frozenset[Place]:
        return frozenset(piece for piece in self.pieces if isinstance(piece, Place))

    def fill(self, values: Values) -> str:
        return "".join(
            [piece if isinstance(piece, str) else self._worded(piece.value(values)) for piece in self.pieces]
        )

    def _worded(self, value: Any) -> str:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if self.is_url:
            return quote(text, safe="")
        return text.replace("$", "$$") if self.doubles_dollars else text


class Members(msgspec.Struct, frozen=True):
    members: dict[str, Node]

    @property
    def places(self) -> frozenset[Place]:
        return _places_of(self.members.values())

    def fill(self, values: Values) -> dict[str, Any]:
        return {name: node.fill(values) for name, node in self.members.items()}


class Items(msgspec.Struct, frozen=True):
    items: list[Node]

    @property
    def places(self) -> frozenset[Place]:
        return _places_of(self.items)

    def fill(self, values: Values) -> list[Any]:
        return [node.fill(values) for node in self.items]


class Choice(msgspec.Struct, frozen=True):
    """The case that the filled text names, or `otherwise`."""

    pointer: str
    chooser: Node
    cases: dict[str, Node]
    otherwise: Node | None

    @property
    def places(self) -> frozenset[Place]:
        others = () if self.otherwise is None else (self.otherwise,)
        return _places_of((self.chooser, *self.cases.values(), *others))

    def fill(self, values: Values) -> Any:
        name = self.chooser.fill(values)
        node = self.cases.get(name if isinstance(name, str) else msgspec.json.encode(name).decode(), self.otherwise)
        if node is None:
            raise InvalidField.at(
                self.pointer, "no-such-case", f"no case for {str(name)[:100]!r}; there are {', '.join(self.cases)}"
            )
        return node.fill(values)


def parse_blueprint(document: dict[str, Any]) -> dict[str, Node]:
    """Return the node of each member of the definition. InvalidField with each part that is no blueprint."""
    parser = _Parser()
    members = {name: parser.node(member, (name,)) for name, member in document.items()}
    if parser.problems:
        raise InvalidField(parser.problems[0].message, tuple(parser.problems))
    return members


class _Parser:
    """One reading of one blueprint; collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._node_count = 0

    def node(self, value: Any, path: tuple[str, ...]) -> Node:
        self._node_count += 1
        if len(path) > DEEPEST or self._node_count > MOST_NODES:
            message = f"a blueprint nests {DEEPEST} levels deep and has {MOST_NODES} values at most"
            raise InvalidField.at("/blueprint", "blueprint-too-large", message)
        match value:
            case str():
                return self._text(value, path)
            case dict() if _CHOOSE in value:
                return self._choice(value, path)
            case dict():
                return self._members(value, path)
            case list():
                items = [self.node(item, (*path, str(position))) for position, item in enumerate(value)]
                return Items(items) if _is_open(items) else Verbatim([item.fill({}) for item in items])
        return Verbatim(value)

    def _members(self, value: dict[str, Any], path: tuple[str, ...]) -> Node:
        for name in value:
            if any(place.name not in PLACE_NAMES for place in _places_in(name)):
                self._refuse(path, "place-in-name", "parameters are filled into values, not into names of members")
        members = {name: self.node(member, (*path, name)) for name, member in value.items()}
        if _is_open(members.values()):
            return Members(members)
        return Verbatim({name: node.fill({}) for name, node in members.items()})

    def _choice(self, value: dict[str, Any], path: tuple[str, ...]) -> Node:
        cases = value.get("cases")
        if not isinstance(value[_CHOOSE], str) or not isinstance(cases, dict) or not value.keys() <= _CHOICE:
            message = (
                'a choice is {"$choose": text, "cases": {text: value}, "otherwise": value}; otherwise may be left out'
            )
            self._refuse(path, "invalid-choice", message)
            return Verbatim(None)
        return Choice(
            _pointer(path),
            self._text(value[_CHOOSE], ("", _CHOOSE)),
            {name: self.node(case, path) for name, case in cases.items()},
            self.node(value["otherwise"], path) if "otherwise" in value else None,
        )

    def _text(self, text: str, path: tuple[str, ...]) -> Node:
        is_fired_with = path[0] in _FIRED_WITH
        pieces: list[str | Place] = []
        end = 0
        for match in _PLACE.finditer(text):
            pieces.append(text[end : match.start()])
            end = match.end()
            pieces.append(self._piece(match, path, is_fired_with))
        pieces.append(text[end:])
        joined = tuple(_joined(pieces))
        if len(joined) == 1 and isinstance(joined[0], Place):
            # An object put into a target is the tenant's own target, with places of its own.
            return Whole(joined[0], doubles_dollars=path[0] == "payload" or (is_fired_with and len(path) > 1))
        if not any(isinstance(piece, Place) for piece in joined):
            return Verbatim("".join(str(piece) for piece in joined))
        return Text(joined, doubles_dollars=is_fired_with, is_url=path == _URL)

    def _piece(self, match: re.Match[str], path: tuple[str, ...], is_fired_with: bool) -> str | Place:
        if match[1] is None:
            return match[0] if is_fired_with else "$"
        place = _place(match[1])
        if place.part is not None and place.part not in DATE_PARTS:
            self._refuse(path, "unknown-part", f"of a date there are {', '.join(DATE_PARTS)}; not {place.part[:64]}")
        return place

    def _refuse(self, path: tuple[str, ...], code: str, message: str) -> None:
        self.problems.append(Problem(_pointer(path), code, message))


def kept_for_firing(nodes: Mapping[str, Node], declared: frozenset[str]) -> dict[str, Node]:
    """Return the nodes with those places as plain text that no parameter fills and each occurrence does.

    `key` is not among these: the instance's own key is known, and its schedule has none.
    """
    kept = PLACE_NAMES - declared - {"key"}
    return {name: _keeping(node, kept) if name in _FIRED_WITH else node for name, node in nodes.items()}


def _keeping(node: Node, kept: frozenset[str]) -> Node:
    match node:
        case Whole(place) if _is_kept(place, kept):
            return Verbatim(f"${{{place}}}")
        case Text():
            return _text_keeping(node, kept)
        case Members(members):
            return Members({name: _keeping(member, kept) for name, member in members.items()})
        case Items(items):
            return Items([_keeping(item, kept) for item in items])
        case Choice(pointer, chooser, cases, otherwise):
            kept_cases = {name: _keeping(case, kept) for name, case in cases.items()}
            return Choice(pointer, chooser, kept_cases, None if otherwise is None else _keeping(otherwise, kept))
        case _:
            return node


def _text_keeping(node: Text, kept: frozenset[str]) -> Node:
    pieces = [f"${{{piece}}}" if _is_kept(piece, kept) else piece for piece in node.pieces]
    joined = tuple(_joined(pieces))
    if len(joined) == 1 and isinstance(joined[0], str):
        return Verbatim(joined[0])
    return Text(joined, node.doubles_dollars, node.is_url)


def _is_kept(piece: str | Place, kept: frozenset[str]) -> bool:
    return isinstance(piece, Place) and piece.part is None and piece.name in kept


def _place(text: str) -> Place:
    name, dot, part = text.partition(".")
    return Place(name, part if dot else None)


def _places_in(text: str) -> Iterator[Place]:
    return (_place(match[1]) for match in _PLACE.finditer(text) if match[1] is not None)


def _joined(pieces: list[str | Place]) -> Iterator[str | Place]:
    """Yield the pieces with neighbouring texts made one and empty ones left out."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            yield text
        text = ""
        yield piece
    if text:
        yield text


def _places_of(nodes: Iterable[Node]) -> frozenset[Place]:
    return frozenset(place for node in nodes for place in node.places)


def _is_open(nodes: Iterable[Node]) -> bool:
    return not all(isinstance(node, Verbatim) for node in nodes)


def _date_part(value: str, part: str) -> int:
    day = date.fromisoformat(value)
    match part:
        case "year":
            return day.year
        case "month":
            return day.month
        case "day":
            return day.day
    return day.timetuple().tm_yday


def _with_doubled_dollars(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case dict():
            return {_with_doubled_dollars(name): _with_doubled_dollars(member) for name, member in value.items()}
        case list():
            return [_with_doubled_dollars(item) for item in value]
    return value


def _pointer(path: tuple[str, ...]) -> str:
    return "/blueprint" + "".join(f"/{escaped(step)}" for step in path if step)
