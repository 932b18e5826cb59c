"""JSON that means one thing: no duplicate keys, no NaN, no half characters, no depth that exhausts a parser.

A parser that keeps the last of two equal keys and a reader that keeps the first see two documents in one text, and
recursion deep enough ends in an error that no validation expects (RFC 8259, sections 4 and 9).
"""

import json
import re
from typing import Any, NoReturn

_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


class NotStrictJson(ValueError):
    """`code` is kebab-case; the message says what is wrong without repeating the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_strictly(text: bytes, deepest: int) -> Any:
    """Return the value of UTF-8 JSON text; raise NotStrictJson for anything ambiguous or nested beyond `deepest`.

    >>> parse_strictly(b'{"a": [1]}', deepest=2)
    {'a': [1]}
    """
    check_depth(text, deepest)
    try:
        value = _DECODER.decode(text.decode("utf-8"))
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair cannot be written again
    except UnicodeDecodeError:
        raise NotStrictJson("not-utf-8", "the text is not UTF-8") from None
    except UnicodeEncodeError:
        raise NotStrictJson("not-unicode", "a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        message = f"the text is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}"
        raise NotStrictJson("not-json", message) from None
    except NotStrictJson:
        raise
    except ValueError:  # an integer of more digits than the interpreter converts
        raise NotStrictJson("not-json", "a number has too many digits") from None
    return value


def check_depth(text: bytes, deepest: int) -> None:
    """Raise NotStrictJson if brackets nest deeper than `deepest`; one pass, no recursion."""
    if text.count(b"[") + text.count(b"{") <= deepest:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > deepest:
                raise NotStrictJson("too-deep", f"the text nests deeper than {deepest} levels")
        elif token in b"]}":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotStrictJson("duplicate-key", f"the member {json.dumps(twice[:64])} appears twice in one object")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotStrictJson("not-json", "a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrictJson("not-json", f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_float=_finite, parse_constant=_refuse_constant)
