"""The examples of RFC 7396, and the one addition to it."""

from typing import Any

import pytest

from scheduler_domain.domain.merge_patch import merge, merge_schedule


@pytest.mark.parametrize(
    ("value", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc(value: Any, patch: Any, merged: Any) -> None:
    assert merge(value, patch) == merged


def test_a_trigger_or_target_of_another_kind_is_replaced_as_a_whole() -> None:
    value = {"trigger": {"type": "CRON", "cron": "@daily"}, "target": {"kind": "EVENT", "eventTopic": "a"}}
    assert merge_schedule(value, {"trigger": {"type": "ONE_SHOT", "startAt": "x"}, "target": {"kind": "HTTP"}}) == {
        "trigger": {"type": "ONE_SHOT", "startAt": "x"},
        "target": {"kind": "HTTP"},
    }
    assert merge_schedule(value, {"trigger": {"cron": "@hourly"}, "target": None}) == {
        "trigger": {"type": "CRON", "cron": "@hourly"}
    }


def test_what_is_no_union_is_merged_whatever_its_members_are_called() -> None:
    value = {"labels": {"type": "a", "team": "b"}, "payload": {"kind": "x", "trigger": {"type": "y", "keep": 1}}}
    patch = {"labels": {"type": "c"}, "payload": {"kind": "z", "trigger": {"type": "w"}}}
    assert merge_schedule(value, patch) == {
        "labels": {"type": "c", "team": "b"},
        "payload": {"kind": "z", "trigger": {"type": "w", "keep": 1}},
    }


def test_what_was_merged_is_left_as_it_was() -> None:
    value = {"a": {"b": 1}}
    merge(value, {"a": {"b": 2}})
    assert value == {"a": {"b": 1}}
