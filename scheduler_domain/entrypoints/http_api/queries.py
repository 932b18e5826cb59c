"""Query parameters: each named once, known, and within its bounds, or refused with its name."""

from collections.abc import Callable, Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import Final, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from scheduler_domain.application.find_template import NO_SUCH_TEMPLATE
from scheduler_domain.domain.errors import Forbidden, InvalidField, NotFound, Problem
from scheduler_domain.domain.template import is_name
from scheduler_domain.domain.validation import refuse, text_problems
from scheduler_domain.entrypoints.http_api.request_scope import Scope, caller_of

MOST_PER_PAGE: Final = 200
DEEPEST_ROW: Final = 10_000
_MOST_PARAMETERS: Final = 100
_LONGEST_TEXT: Final = 200
_LONGEST_CURSOR: Final = 2_000

Value = TypeVar("Value")


class Query:
    """The parameters of one request. Reading one that is not acceptable raises InvalidField."""

    def __init__(self, scope: Scope, known: Iterable[str], repeatable: Iterable[str] = ()) -> None:
        """Refuse what nobody will read: a misspelt filter would answer with everything."""
        self._values = _values(scope["query_string"])
        tenant_id = self._values.pop("tenantId", None)
        if tenant_id is not None and tenant_id != [caller_of(scope).tenant_id]:
            raise Forbidden("tenantId names another tenant than X-Tenant-Id and the token do")
        names, many = sorted([*known, *repeatable]), set(repeatable)
        refuse([*(_unknown(name, names) for name in self._values if name not in names)])
        twice = [name for name, values in self._values.items() if len(values) > 1 and name not in many]
        refuse([Problem(_pointer(name), "repeated", f"{name[:100]} is given once") for name in twice])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        value = self._first(name)
        if value is not None and not 1 <= len(value) <= _LONGEST_TEXT:
            raise InvalidField.at(_pointer(name), "out-of-range", f"1 to {_LONGEST_TEXT} characters are accepted")
        if value is not None:
            refuse(list(text_problems(value, _pointer(name))))
        return value

    def texts(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self._first(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit()) or len(value) > 9 or not least <= int(value) <= most:
            raise InvalidField.at(_pointer(name), "out-of-range", f"a whole number from {least} to {most} is accepted")
        return int(value)

    def flag(self, name: str) -> bool | None:
        return self.one_of(name, {"true": True, "false": False})

    def one_of(self, name: str, values: dict[str, Value]) -> Value | None:
        value = self._first(name)
        if value is None:
            return None
        if value not in values:
            raise InvalidField.at(_pointer(name), "invalid-value", f"{', '.join(values)} are accepted")
        return values[value]

    def instant(self, name: str) -> datetime | None:
        return self._parsed(name, _instant, "an instant such as 2026-11-22T09:00:00Z is accepted")

    def identity(self, name: str) -> UUID | None:
        return self._parsed(name, UUID, "an id as the API answers it is accepted")

    def page(self) -> tuple[int, int]:
        """Return page and page size; further in than DEEPEST_ROW the cursor is the way."""
        size = self.whole("pageSize", 20, 1, MOST_PER_PAGE)
        page = self.whole("page", 1, 1, 1_000_000)
        if page * size > DEEPEST_ROW and page > 1:
            message = f"pages reach {DEEPEST_ROW} rows; follow nextCursor from there"
            raise InvalidField.at(_pointer("page"), "page-too-deep", message)
        if page > 1 and "cursor" in self:
            raise InvalidField.at(_pointer("page"), "page-and-cursor", "give a cursor or a page, not both")
        return page, size

    def cursor(self) -> str | None:
        value = self._first("cursor")
        if value is not None and not (1 <= len(value) <= _LONGEST_CURSOR and value.isascii()):
            raise InvalidField.at(_pointer("cursor"), "invalid-cursor", "pass a nextCursor as it was answered")
        return value

    def _first(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[0] if values else None

    def _parsed(self, name: str, parse: Callable[[str], Value], accepted: str) -> Value | None:
        value = self._first(name)
        if value is None:
            return None
        try:
            return parse(value[:100])
        except ValueError:
            raise InvalidField.at(_pointer(name), "invalid-value", accepted) from None


def check_order(from_: datetime | None, to: datetime | None, pointer: str) -> None:
    """Refuse a range whose end, at this pointer, lies before its start."""
    if from_ is not None and to is not None and to < from_:
        raise InvalidField.at(pointer, "ends-before-start", "`to` is not before `from`")


def id_in_path(text: str) -> UUID:
    """Return the id; what is no id names nothing."""
    try:
        identity = UUID(text)
    except ValueError:
        raise NotFound("there is nothing with this id") from None
    if str(identity) != text.lower():
        raise NotFound("there is nothing with this id")
    return identity


def template_in_path(text: str) -> str:
    """Return the template's name; what is no name names nothing."""
    if not is_name(text):
        raise NotFound(NO_SUCH_TEMPLATE)
    return text


def _values(query: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            query.decode("latin-1"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise InvalidField.at(
            "/query", "invalid-query", "the query is UTF-8, percent-encoded, 100 pairs at most"
        ) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _unknown(name: str, known: list[str]) -> Problem:
    close = get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known) or 'none'}"
    return Problem(_pointer(name), "unknown-parameter", f"{name[:100]} is not known here; {hint}")


def _pointer(name: str) -> str:
    return f"/query/{name[:100]}"


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None or not 1970 <= instant.year <= 2200:
        raise ValueError(text)
    return instant
