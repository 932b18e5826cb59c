"""The fast check of parameters says yes only where jsonschema does; hostile schemas cost nothing."""

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_domain.domain.parameters import Parameters, pattern_steps, schema_problems
from scheduler_domain.infra.built_in_templates import built_in_templates
from scheduler_domain.infra.json_schema.judge import JsonSchemaJudge

JUDGE = JsonSchemaJudge()
PROPERTIES: dict[str, Any] = {
    "text": {"type": "string", "minLength": 1, "maxLength": 5},
    "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 6},
    "day": {"type": "string", "format": "date"},
    "at": {"type": "string", "format": "local-time"},
    "tz": {"type": "string", "format": "time-zone"},
    "count": {"type": "integer", "minimum": 1, "maximum": 9},
    "flag": {"type": "boolean"},
    "kind": {"enum": ["A", "B"], "default": "A"},
    "target": {"type": "object"},
    "odd": {"anyOf": [{"type": "null"}, {"type": "string"}]},
}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["text"]}
TEXTS = st.sampled_from(
    ["", "a", "abcdef", "AB1", "ab1", "2028-02-29", "2027-02-29", "2024-W01-1", "20240101", "09:00", "9:00", "25:00",
     "09:00:61", "Europe/Berlin", "europe/berlin", "localtime", "A", "C", "é"]
)  # fmt: skip
VALUES = st.one_of(
    TEXTS, st.integers(-1, 10), st.floats(0, 10), st.booleans(), st.none(), st.just({}), st.just([]), st.just(2.0)
)


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from([*PROPERTIES, "unknown"]), VALUES, max_size=4), st.booleans())
def test_a_sure_yes_is_a_yes_of_the_judge(value: dict[str, Any], is_complete: bool) -> None:
    value = {"text": "abc", **value} if is_complete else value
    parameters = Parameters(SCHEMA)
    if parameters.surely_accepts(value):
        assert JUDGE.judge(SCHEMA, value) == []
    elif not (value.keys() & {"odd", "unknown"}):
        is_whole_float = isinstance(value.get("count"), float) and value["count"].is_integer()
        assert is_whole_float or JUDGE.judge(SCHEMA, value) != []


def test_the_built_in_templates_are_accepted_by_their_own_rules_and_need_no_judge_for_a_person() -> None:
    for stored in built_in_templates().values():
        assert list(schema_problems(stored.template.parameters)) == []
        assert JUDGE.judge_schema(stored.template.parameters) == []
    person = {"firstName": "Ada", "lastName": "L", "dateOfBirth": "1988-02-29", "tz": "Europe/London"}
    assert Parameters(built_in_templates()["birthday"].template.parameters).surely_accepts(person)


@pytest.mark.parametrize("keyword", ["$ref", "$defs", "$dynamicRef", "$id", "patternProperties", "propertyNames"])
def test_a_schema_has_no_references_and_nothing_that_is_not_bounded(keyword: str) -> None:
    schema = {"type": "object", "properties": {"a": {"allOf": [{keyword: "#"}]}}}
    assert [problem.code for problem in schema_problems(schema)] == ["unknown-keyword"]


def test_a_schema_that_nests_deep_or_grows_large_is_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(50):
        deep = {"not": deep}
    assert [problem.code for problem in schema_problems({"type": "object", "properties": {"a": deep}})] == [
        "schema-too-deep"
    ]
    large = {"type": "object", "properties": {f"p{n}": {"description": "x" * 200} for n in range(99)}}
    assert [problem.code for problem in schema_problems(large)] == ["schema-too-large"]


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*$", "(a*)*b",
     r"(\w+\s?)*$", "a{1,5}{1,5}", "(?=a)b", r"(a)\1", "(?i)a", "[a", "a**", "|*", "(?P<n>a)"],
)  # fmt: skip
def test_a_pattern_whose_steps_cannot_be_counted_is_no_pattern(pattern: str) -> None:
    assert pattern_steps(pattern, 50) is None


@pytest.mark.parametrize(
    "pattern", ["^[A-Z]{2}[0-9]{4,8}$", r"^\d+-\d+$", "^(?:DE|AT|CH)[0-9]{8}$", "[^ ]+@[^ ]+", "a?a?a?aaa"]
)
def test_a_pattern_that_is_accepted_ends_soon_on_the_worst_of_texts(pattern: str) -> None:
    longest = 60
    steps = pattern_steps(pattern, longest)
    assert steps is not None
    assert steps <= 1_000_000
    began = time.perf_counter()
    for text in ("a" * longest, "0" * longest, "A" * longest, "@" * longest, "-" * longest):
        re.search(pattern, text)
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("^" + "(a|)" * 49 + "$", 2**49),
        ("^(?:a|b|c)$", 3),
        ("^a|b$", 2 * 50),
        ("^(a)|b|(c)", 3 * 50),
        ("(a|b)(c|d)", 200),
    ],
)
def test_alternatives_are_tried_with_each_others_alternatives(pattern: str, steps: int) -> None:
    assert pattern_steps(pattern, 50) == steps


def test_patterns_are_bounded_together() -> None:
    known = {"type": "string", "pattern": "^[a-z]+[a-z]+[a-z]+$", "maxLength": 90}
    few, many = ({f"p{n}": known for n in range(count)} for count in (1, 2))
    assert list(schema_problems({"type": "object", "properties": few})) == []
    assert [problem.code for problem in schema_problems({"type": "object", "properties": many})] == [
        "pattern-too-costly"
    ]


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ({"format": []}, "invalid-value"),
        ({"format": {}}, "invalid-value"),
        ({"type": "array", "uniqueItems": True}, "unknown-keyword"),
        (True, "invalid-type"),
    ],
)
def test_what_would_break_or_take_long_later_is_refused_now(known: Any, code: str) -> None:
    assert [problem.code for problem in schema_problems({"type": "object", "properties": {"a": known}})] == [code]


def test_a_value_with_too_many_parts_is_not_even_compared() -> None:
    choices = [{"const": number} for number in range(100)]
    parameters = Parameters({"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": choices}}}})
    assert list(parameters.size_problems({"a": list(range(100))})) == []
    assert [problem.code for problem in parameters.size_problems({"a": list(range(1_000))})] == ["out-of-range"]


def test_a_number_beyond_what_a_schema_can_judge_is_a_problem_and_no_defect() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 0.5}}}
    assert [problem.code for problem in JsonSchemaJudge().judge(schema, {"a": 10**400})] == ["out-of-range"]
