"""JSON that could be read in two ways, or that would exhaust a parser, is refused."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_domain.domain.strict_json import NotStrictJson, check_depth, parse_strictly

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(VALUES)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert parse_strictly(json.dumps(value).encode(), deepest=100) == value
    assert parse_strictly(json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore"), deepest=100) is not ...


@pytest.mark.parametrize("depth", [1, 5, 16])
def test_depth_is_counted_outside_of_strings(depth: int) -> None:
    text = ('{"a[{": ' + "[" * depth + '"]]]\\"}{{{"' + "]" * depth + "}").encode()
    check_depth(text, depth + 1)
    with pytest.raises(NotStrictJson, match="deeper"):
        check_depth(text, depth)


@pytest.mark.parametrize("text", [b'"' * 200_001, b'"\\' * 100_000, b"[" * 262_144, b'{"a":' * 50_000, b"\\" * 262_144])
def test_no_text_takes_long(text: bytes) -> None:
    started_at = time.monotonic()
    with pytest.raises(NotStrictJson):
        parse_strictly(text, deepest=16)
    assert time.monotonic() - started_at < 0.5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"a": 1, "a": 1}', "duplicate-key"),
        (b'{"\\u0061": 1, "a": 1}', "duplicate-key"),
        (b'[{"b": {"a": 1, "c": 2, "a": 3}}]', "duplicate-key"),
        (b"NaN", "not-json"),
        (b"-Infinity", "not-json"),
        (b"1e999", "not-json"),
        (b'"\\udc00"', "not-unicode"),
        (b'{"\\ud800": 1}', "not-unicode"),
        (b"\xc3\x28", "not-utf-8"),
        (b"{} {}", "not-json"),
    ],
)
def test_what_is_ambiguous_is_refused_with_a_code(text: bytes, code: str) -> None:
    with pytest.raises(NotStrictJson) as refusal:
        parse_strictly(text, deepest=16)
    assert refusal.value.code == code
