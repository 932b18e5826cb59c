"""The published cases, each asked as `scheduler preview --batch` asks it."""

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler_domain.entrypoints.cli.preview_batch import answer_requests

CASES = json.loads(Path(__file__).with_name("trigger_cases.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_published_case_is_answered_as_published(case: dict[str, Any]) -> None:
    (line,) = answer_requests([json.dumps({"id": case["id"], **case["request"]})])
    answer = json.loads(line)
    assert answer["id"] == case["id"]
    if case.get("error"):
        assert answer["error"]["code"]
        assert answer["error"]["message"]
    else:
        assert answer["occurrences"] == case["expect"]
