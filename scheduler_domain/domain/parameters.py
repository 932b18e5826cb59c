"""The parameters of a template: a JSON Schema (draft 2020-12) of bounded cost, and a fast way to say yes.

A schema is a program that a tenant sends us to run over a million lines. So it has no references and no recursion, a
bounded size, formats that are really checked, and patterns whose worst case is computed before they are accepted.

The judge of a value is the library jsonschema (application/ports/schema_judge.py). It takes 100 µs for a person, which
a million lines cannot afford; `surely_accepts` says yes in 3 µs where yes is certain, and leaves all else to the judge.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any, Final

import msgspec

from scheduler_domain.domain.errors import Problem
from scheduler_domain.domain.payload import PLACE_NAMES
from scheduler_domain.domain.triggers import zone_names
from scheduler_domain.domain.validation import escaped

LARGEST_SCHEMA: Final = 16 * 1024
MOST_PARAMETERS: Final = 100
DEEPEST_SCHEMA: Final = 8
MOST_STEPS_OF_A_PATTERN: Final = 1_000_000
MOST_COMPARISONS: Final = 100_000
"""Parts of a schema times parts of a value: as many comparisons as the judge can be made to make, 5 µs each."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment"})
_OF_VALUES: Final = frozenset(
    {
        "type", "enum", "const", "format", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "required", "minProperties",
        "maxProperties", "additionalProperties",
    }
)  # fmt: skip
_OF_SCHEMAS: Final = {
    "properties": "members", "items": "one", "not": "one", "if": "one", "then": "one", "else": "one",
    "allOf": "many", "anyOf": "many", "oneOf": "many", "prefixItems": "many",
}  # fmt: skip
_KEYWORDS: Final = frozenset({*_ANNOTATIONS, *_OF_VALUES, *_OF_SCHEMAS})
_FAST_AT_ROOT: Final = frozenset({"$schema", "type", "properties", "required", "additionalProperties", *_ANNOTATIONS})
_RESERVED: Final = PLACE_NAMES - {"tz"}


def is_date(text: str) -> bool:
    """Tell an RFC 3339 full-date: `1980-02-29`."""
    return len(text) == len("1980-02-29") and text[4] == text[7] == "-" and _holds(date.fromisoformat, text)


def is_local_time(text: str) -> bool:
    """Tell a time of day on a wall: `09:00` or `09:00:30`."""
    return len(text) in {5, 8} and text[2] == ":" and _holds(time.fromisoformat, text)


def is_date_time(text: str) -> bool:
    """Tell an RFC 3339 date-time, which has an offset."""
    return "T" in text and _holds(datetime.fromisoformat, text) and datetime.fromisoformat(text).tzinfo is not None


def is_time_zone(text: str) -> bool:
    """Tell a name of the tz database: `Europe/Berlin`."""
    return text in zone_names()


FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "date": is_date,
    "local-time": is_local_time,
    "date-time": is_date_time,
    "time-zone": is_time_zone,
}
"""The formats that schemas may name: those that are really checked."""


class Parameters:
    """A schema that was accepted, ready to be asked about many values."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.properties: dict[str, dict[str, Any]] = schema.get("properties", {})
        self.required = frozenset(schema.get("required", ()))
        self.defaults = {name: known["default"] for name, known in self.properties.items() if "default" in known}
        self._checks = _fast_checks(schema)
        self._part_count = _part_count(schema)

    @property
    def always_there(self) -> frozenset[str]:
        """The parameters that every instance has a value for."""
        return self.required | self.defaults.keys()

    def surely_accepts(self, given: dict[str, Any]) -> bool:
        """Return True only where the judge would accept; False says nothing."""
        if self._checks is None or not given.keys() >= self.required:
            return False
        checks = self._checks
        for name, value in given.items():
            check = checks.get(name)
            if check is None or not check(value):
                return False
        return True

    def size_problems(self, given: dict[str, Any]) -> Iterator[Problem]:
        """Yield a value that is too large for its schema, which must not even be compared with it."""
        if self._part_count * _part_count(given) > MOST_COMPARISONS:
            message = (
                f"the values have more parts than may be compared with this schema: {MOST_COMPARISONS:,} comparisons"
            )
            yield Problem("", "out-of-range", message)

    def unknown_problems(self, given: dict[str, Any]) -> Iterator[Problem]:
        """Yield what nothing would be filled from: a misspelt parameter must not be taken for one left out."""
        for name in given.keys() - self.properties.keys():
            message = f"{name[:100]} is not a parameter; there are {', '.join(sorted(self.properties)) or 'none'}"
            yield Problem(f"/{escaped(name)}", "unknown-field", message)

    def length_problems(self, given: dict[str, Any]) -> Iterator[Problem]:
        """Yield texts that are too long for their pattern, which must not even be tried on them."""
        for name, known in self.properties.items():
            value = given.get(name)
            if "pattern" in known and isinstance(value, str) and len(value) > known["maxLength"]:
                message = f"at most {known['maxLength']} characters are accepted"
                yield Problem(f"/{escaped(name)}", "out-of-range", message)


def schema_problems(schema: dict[str, Any]) -> Iterator[Problem]:
    """Yield why a schema is not accepted, beside what JSON Schema itself says of it."""
    if len(msgspec.json.encode(schema)) > LARGEST_SCHEMA:
        yield Problem("/parameters", "schema-too-large", f"a schema has {LARGEST_SCHEMA // 1024} KiB at most")
        return
    if schema.get("type") != "object":
        yield Problem("/parameters/type", "invalid-value", 'a template\'s parameters are an object: "type": "object"')
    if schema.get("$schema", _DIALECT) != _DIALECT:
        yield Problem("/parameters/$schema", "invalid-value", f"{_DIALECT} is accepted, or none")
    yield from _keyword_problems({name: part for name, part in schema.items() if name != "$schema"}, "/parameters", 1)
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        return
    if len(properties) > MOST_PARAMETERS:
        message = f"a template has {MOST_PARAMETERS} parameters at most"
        yield Problem("/parameters/properties", "too-many-parameters", message)
    for name, known in properties.items():
        yield from _parameter_problems(name, known, f"/parameters/properties/{escaped(name)}")
    steps = sum(_counted_steps(known) for known in properties.values())
    if steps > MOST_STEPS_OF_A_PATTERN:
        message = f"all patterns together must not lead to more than {MOST_STEPS_OF_A_PATTERN:,} steps"
        yield Problem("/parameters/properties", "pattern-too-costly", message)


def _keyword_problems(schema: Any, pointer: str, depth: int) -> Iterator[Problem]:
    if not isinstance(schema, dict):
        return
    if depth > DEEPEST_SCHEMA:
        yield Problem(pointer, "schema-too-deep", f"a schema nests {DEEPEST_SCHEMA} levels deep at most")
        return
    for name, part in schema.items():
        place = f"{pointer}/{escaped(name)}"
        if name not in _KEYWORDS and not (name == "pattern" and depth == 2):
            yield Problem(
                place, "unknown-keyword", f"{name[:64]} is not accepted; known: {', '.join(sorted(_KEYWORDS))}"
            )
        elif name == "format" and not (isinstance(part, str) and part in FORMATS):
            yield Problem(place, "invalid-value", f"{', '.join(FORMATS)} are accepted: formats that are really checked")
        else:
            for step, inner in _inner_schemas(name, part):
                yield from _keyword_problems(inner, f"{place}{step}", depth + 1)


def _inner_schemas(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    match _OF_SCHEMAS.get(name), part:
        case "one", dict():
            yield "", part
        case "many", list():
            yield from ((f"/{position}", inner) for position, inner in enumerate(part))
        case "members", dict():
            yield from ((f"/{escaped(member)}", inner) for member, inner in part.items())


def _parameter_problems(name: str, known: Any, pointer: str) -> Iterator[Problem]:
    if _NAME.fullmatch(name) is None:
        yield Problem(pointer, "invalid-name", "a parameter's name is a letter, then up to 62 of A-Z a-z 0-9 _")
    elif name in _RESERVED:
        yield Problem(pointer, "reserved-name", f"${{{name}}} has a meaning in every payload; choose another name")
    if not isinstance(known, dict):
        yield Problem(pointer, "invalid-type", "what is known of a parameter is an object")
    elif "pattern" in known:
        yield from _pattern_problems(known, pointer)


def _pattern_problems(known: dict[str, Any], pointer: str) -> Iterator[Problem]:
    pattern, longest = known["pattern"], known.get("maxLength")
    if not isinstance(pattern, str) or not isinstance(longest, int) or not 1 <= longest <= 1_000:
        yield Problem(pointer, "pattern-without-length", "a pattern needs a maxLength of 1 to 1000 beside it")
        return
    steps = pattern_steps(pattern, longest)
    if steps is None or steps > MOST_STEPS_OF_A_PATTERN:
        message = (
            "a pattern has 200 characters at most, made of characters, classes, alternatives and repetitions of single "
            "characters or classes, and few repetitions: together with maxLength they must not lead to more than "
            f"{MOST_STEPS_OF_A_PATTERN:,} steps"
        )
        yield Problem(f"{pointer}/pattern", "pattern-too-costly", message)


_TOKEN: Final = re.compile(
    r"\\[dDwWsSbB.\\/^$*+?(){}\[\]|-]"  # a class, or an escaped character
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|\((?:\?:)?|\)"
    r"|[*+?]|\{\d{1,4}(?:,\d{0,4})?\}"
    r"|[^\\\[\](){}*+?]",
    re.DOTALL,
)


def pattern_steps(pattern: str, longest: int) -> int | None:
    """Return how many steps a backtracking engine can take on a text of this length; None where it is not a pattern
    whose steps can be counted this way: no repeated groups, no look-around, no references back.

    >>> pattern_steps("^[A-Z]{2}[0-9]{4,8}$", 20), pattern_steps("(a+)+$", 20)
    (5, None)
    """
    tokens = _TOKEN.findall(pattern)
    if "".join(tokens) != pattern or len(pattern) > 200 or not _compiles(pattern):
        return None
    steps = 1
    before = ""
    alternatives = [1]  # of the groups that are open here, the whole pattern first: each can be tried with each other's
    for part in tokens:
        if part[0] in "*+?{":
            if before in {"", "(", "(?:", ")", "|"} or before[0] in "*+?{":
                return None
            steps *= _ways(part, longest)
        elif part == "|":
            alternatives[-1] += 1
        elif part in {"(", "(?:"}:
            alternatives.append(1)
        elif part == ")":
            steps *= alternatives.pop()
        before = part
    [whole] = alternatives
    is_anchored = pattern.startswith("^") and whole == 1
    return steps * whole * (1 if is_anchored else longest)


def _counted_steps(known: Any) -> int:
    """Return the steps of a parameter's pattern; 0 where it has none that can be counted, which is told elsewhere."""
    pattern, longest = (known.get("pattern"), known.get("maxLength")) if isinstance(known, dict) else (None, None)
    if not isinstance(pattern, str) or not isinstance(longest, int):
        return 0
    steps = pattern_steps(pattern, longest) or 0
    return 0 if steps > MOST_STEPS_OF_A_PATTERN else steps


def _part_count(value: Any) -> int:
    """Return how many values there are in a value, itself included."""
    if isinstance(value, dict):
        return 1 + sum(map(_part_count, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_part_count, value))
    return 1


def _ways(repetition: str, longest: int) -> int:
    if repetition == "?":
        return 2
    if repetition in {"*", "+"}:
        return longest
    least, comma, most = repetition[1:-1].partition(",")
    if not comma:
        return 1
    return max(min(int(most), longest) - int(least) + 1, 1) if most else longest


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


Check = Callable[[Any], bool]


def _fast_checks(schema: dict[str, Any]) -> dict[str, Check] | None:
    """Return a check for each parameter that one can be made for; None where the object as a whole has conditions."""
    if not schema.keys() <= _FAST_AT_ROOT or schema.get("additionalProperties", True) not in {True, False}:
        return None
    made = {name: _fast_check(known) for name, known in schema.get("properties", {}).items()}
    return {name: check for name, check in made.items() if check is not None}


def _fast_check(known: Any) -> Check | None:
    if not isinstance(known, dict):
        return None
    conditions = {name: part for name, part in known.items() if name not in _ANNOTATIONS}
    kind = conditions.pop("type", None)
    if "enum" in conditions and kind in {"string", None}:
        return _one_of(conditions)
    make = _CHECKS.get(kind) if isinstance(kind, str) else None
    return None if make is None else make(conditions)


def _one_of(conditions: dict[str, Any]) -> Check | None:
    accepted = conditions["enum"]
    if conditions.keys() != {"enum"} or not all(isinstance(value, str) for value in accepted):
        return None
    known = frozenset(accepted)
    return lambda value: type(value) is str and value in known


def _text_check(conditions: dict[str, Any]) -> Check | None:
    if not conditions.keys() <= {"minLength", "maxLength", "format", "pattern"}:
        return None
    least, most = conditions.get("minLength", 0), conditions.get("maxLength", 1 << 30)
    has_format = FORMATS[conditions["format"]] if "format" in conditions else None
    search = re.compile(conditions["pattern"]).search if "pattern" in conditions else None

    def accepts(value: Any) -> bool:
        return (
            type(value) is str
            and least <= len(value) <= most
            and (has_format is None or has_format(value))
            and (search is None or search(value) is not None)
        )

    return accepts


def _whole_number_check(conditions: dict[str, Any]) -> Check | None:
    if not conditions.keys() <= {"minimum", "maximum"}:
        return None
    least, most = conditions.get("minimum", -(1 << 53)), conditions.get("maximum", 1 << 53)
    return lambda value: type(value) is int and least <= value <= most


def _kind_check(kind: type) -> Callable[[dict[str, Any]], Check | None]:
    return lambda conditions: None if conditions else lambda value: type(value) is kind


_CHECKS: Final[dict[str, Callable[[dict[str, Any]], Check | None]]] = {
    "string": _text_check,
    "integer": _whole_number_check,
    "boolean": _kind_check(bool),
    "object": _kind_check(dict),
}


def _holds(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
