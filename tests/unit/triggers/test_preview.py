"""`scheduler preview` and the use case behind it: words, notes, struck-out days, NDJSON, one line for each refusal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scheduler_domain.application.preview_trigger import preview_trigger
from scheduler_domain.domain.triggers import Cron, Exclusions, FixedDelay
from scheduler_domain.entrypoints.cli.preview import preview
from scheduler_domain.entrypoints.cli.preview_batch import answer_requests
from tests.unit.triggers.conftest import Spec, instant

GAP_NOTE = (
    "note: 2026-03-29 02:30:00 does not exist in Europe/Berlin, where clocks go forward; "
    "that occurrence takes place at 03:30:00."
)


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(preview, arguments, input=given)


def answers(*requests: dict[str, object]) -> list[dict[str, object]]:
    return [json.loads(line) for line in answer_requests(json.dumps(request) for request in requests)]


def test_a_preview_shows_words_notes_and_a_line_for_each_instant() -> None:
    result = run("--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2026-03-28T00:00:00Z", "--count", "2")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "At 02:30 every day, Europe/Berlin time.",
        GAP_NOTE,
        "note: 2026-10-25 02:30:00 exists twice in Europe/Berlin, where clocks go back; the first is taken.",
        "2026-03-28 02:30:00  Sat  +01:00  2026-03-28T01:30:00Z",
        "2026-03-29 03:30:00  Sun  +02:00  2026-03-29T01:30:00Z  clock goes forward: moved from 02:30:00",
    ]


def test_json_carries_all_that_the_table_shows() -> None:
    result = run("--cron", "0 9 24-26 12 *", "--exclude-date", "2026-12-25", "--after", "2026-12-24T00:00:00Z",
                 "--count", "2", "--json")  # fmt: skip
    found = json.loads(result.output)
    assert (
        found["words"] == "At 09:00 on the 24th, 25th and 26th of the month in December, UTC time, except on one date"
    )
    assert found["occurrences"][1] == {
        "at": "2026-12-25T09:00:00Z",
        "local": "2026-12-25T09:00:00",
        "offset": "+00:00",
        "dst": None,
        "excluded": "excluded date",
    }
    assert [item["excluded"] for item in found["occurrences"]] == [None, "excluded date", None]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rrule", "FREQ=DAILY", "--dtstart", "2026-01-31T09:00:00"], "2026-01-31T09:00:00Z"),
        (["--rrule", "DTSTART:20260131T090000\\nRRULE:FREQ=DAILY"], "2026-01-31T09:00:00Z"),
        (["--every", "3600"], "2026-01-30T01:00:00Z"),
        (["--every", "15m"], "2026-01-30T00:15:00Z"),
        (["--at", "2026-06-01T12:00:00"], "2026-06-01T12:00:00Z"),
        (["--cron", "0 9 * * *", "--start", "2026-02-01T00:00:00"], "2026-02-01T09:00:00Z"),
        (["--cron", "0 9 * * *", "--exclude-weekday", "FR", "--exclude-weekday", "SA"], "2026-02-01T09:00:00Z"),
        (["--cron", "0 9 1 1 *", "--exclude-holidays", "DE-BE", "--roll", "NEXT"], "2027-01-04T09:00:00Z"),
        (["--cron", "30 2 29 3 *", "--tz", "Europe/Berlin", "--gap", "SKIP"], "2027-03-29T00:30:00Z"),
    ],
)
def test_every_trigger_and_option_has_a_flag(arguments: list[str], expected: str) -> None:
    result = run(*arguments, "--after", "2026-01-30T00:00:00Z", "--count", "1", "--json")
    assert result.exit_code == 0, result.output
    kept = [item["at"] for item in json.loads(result.output)["occurrences"] if item["excluded"] is None]
    assert kept == [expected]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cron", "x"],
        ["--cron", "0 9 * * *", "--every", "60"],
        ["--cron", "0 9 * * *", "--tz", "Mars/Olympus"],
        ["--cron", "0 9 * * *", "--gap", "JUMP"],
        ["--cron", "0 9 * * *", "--dtstart", "2026-01-01"],
        ["--cron", "0 9 * * *", "--after", "soon"],
        ["--cron", "0 9 * * *", "--after", "9999-12-30T00:00:00Z"],
        ["--every", "5", "--tz", "America/New_York", "--after", "0001-01-01T00:00:00Z"],
        ["--cron", "0 9 * * *", "--count", "1001"],
        ["--cron", "0 9 * * *", "--exclude-holidays", "Atlantis"],
        ["--rrule", "FREQ=DAILY;BYMONTHDAY=30;BYMONTH=2"],
        ["--batch", "no such file"],
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: ")


def test_nothing_due_is_said() -> None:
    assert "Nothing is due." in run("--at", "2020-01-01T00:00:00Z", "--after", "2026-01-01T00:00:00Z").output


def test_a_batch_looks_no_further_back_than_the_calendar_begins() -> None:
    exclude = {"weekdays": ["SU"], "roll": "NEXT", "holidays": {"country": "DE"}}
    began = {"after": "0001-01-01T00:00:00Z", "startAt": "0001-01-01T00:00:00Z"}
    rule = {"type": "RRULE", "rrule": "FREQ=MINUTELY;BYDAY=MO"}
    [answer] = answers({"trigger": rule, "tz": "Europe/Berlin", "exclude": exclude, **began})
    assert answer["occurrences"][0].startswith("0001-01-01T00:0")


@pytest.mark.parametrize(("after", "count"), [("0001-01-01T00:00:00Z", 1), ("9999-12-31T00:00:00Z", 0)])
def test_a_batch_answers_for_every_year_and_nothing_is_due_after_2200(after: str, count: int) -> None:
    trigger = {"type": "CRON", "cron": "0 9 29 2 *"}
    [answer] = answers({"id": "a", "trigger": trigger, "tz": "America/New_York", "after": after, "count": 1})
    assert len(answer["occurrences"]) == count


def test_a_batch_answers_line_by_line_and_survives_any_line(tmp_path: Path) -> None:
    lines = [
        '{"id":1,"tz":"UTC","after":"2026-01-01T00:00:00Z","count":1,"trigger":{"type":"CRON","cron":"0 9 * * *"}}',
        "",
        "not json",
        "[" * 100_000,
        "[1]",
        '{"id":1,"id":2}',
        '{"id":"\\ud800"}',
        '{"id":"x","trigger":{"type":"CRON"}}',
    ]
    file = tmp_path / "requests.ndjson"
    text = "\n".join(lines).encode().replace(b"not json", b'{"id":"\xff"}')
    file.write_bytes(text)
    for result in (run("--batch", str(file)), run("--batch", "-", given=text)):
        found = [json.loads(line) for line in result.output.splitlines()]
        assert found[0] == {"id": 1, "occurrences": ["2026-01-01T09:00:00Z"]}
        assert [answer.get("error", {}).get("code") for answer in found[1:]] == ["bad-request"] * 6
        assert found[-1]["id"] == "x"


CRON = {"type": "CRON", "cron": "0 9 * * *"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"trigger": CRON, "colour": 1}, "unknown-field"),
        ({"trigger": {**CRON, "colour": 1}}, "unknown-field"),
        ({"trigger": CRON, "exclude": {"days": []}}, "unknown-field"),
        ({"trigger": {"type": "LUNAR"}}, "trigger-type"),
        ({}, "trigger-type"),
        ({"trigger": {"type": "FIXED_DELAY", "delaySec": "60"}}, "bad-request"),
        ({"trigger": {"type": "FIXED_DELAY", "delaySec": True}}, "bad-request"),
        ({"trigger": CRON, "count": 0}, "bad-request"),
        ({"trigger": CRON, "count": 1001}, "bad-request"),
        ({"trigger": CRON, "maxRuns": -1}, "bad-request"),
        ({"trigger": CRON, "tz": 5}, "bad-request"),
        ({"trigger": CRON, "dst": []}, "bad-request"),
        ({"trigger": CRON, "exclude": {"dates": [1]}}, "bad-request"),
        ({"trigger": CRON, "after": "soon"}, "bad-time"),
        ({"trigger": CRON, "endAt": 5}, "bad-time"),
        ({"trigger": CRON, "tz": "../../etc/passwd"}, "unknown-zone"),
    ],
)
def test_a_wrong_request_is_answered_with_its_reason(request_: dict[str, object], code: str) -> None:
    (answer,) = answers(request_)
    assert isinstance(answer["error"], dict)
    assert answer["error"]["code"] == code


def test_a_request_takes_every_field() -> None:
    after = "2026-01-01T00:00:00Z"
    weekend = {"weekdays": ["SA", "SU"], "dates": ["2026-01-02"], "holidays": {"country": "DE"}, "roll": "SKIP"}
    found = answers(
        {"trigger": CRON, "after": after, "maxRuns": 2},
        {"trigger": CRON, "after": after, "count": 2, "exclude": weekend},
        {"trigger": CRON, "after": after, "startAt": "2026-02-01T00:00:00Z", "endAt": "2026-02-02T00:00:00Z"},
        {"trigger": {"type": "FIXED_DELAY", "delaySec": 60}, "after": after, "count": 1,
         "lastCompletedAt": "2026-01-01T00:00:30Z"},
        {"trigger": {"type": "ONE_SHOT", "startAt": "2026-01-01T00:00:00.25Z", "ifPast": "RUN_NOW"}, "after": after},
        {"trigger": {"type": "RRULE", "rrule": "FREQ=DAILY", "dtstart": None}, "after": after, "count": 1, "dst": None},
    )  # fmt: skip
    assert [answer["occurrences"] for answer in found] == [
        ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z"],
        ["2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"],
        ["2026-02-01T09:00:00Z"],
        ["2026-01-01T00:01:30Z"],
        ["2026-01-01T00:00:00.250000Z"],
        ["2026-01-02T00:00:00Z"],
    ]


def test_a_preview_is_bounded_by_the_runs_that_are_left(spec: Spec) -> None:
    after = instant("2026-01-01T00:00:00")
    assert len(preview_trigger(spec(Cron("* * * * *")), after, 5_000).items) == 1_000
    assert len(preview_trigger(spec(Cron("* * * * *")), after, 10, max_runs=3).items) == 3
    assert preview_trigger(spec(Cron("* * * * *")), after, 10, max_runs=0).items == ()


def test_a_preview_goes_on_from_the_end_of_the_previous_occurrence(spec: Spec) -> None:
    after = instant("2026-01-01T00:00:00")
    found = preview_trigger(spec(FixedDelay(60)), after, 1, last_completed_at=instant("2026-01-01T00:00:30"))
    assert found.items[0].at == instant("2026-01-01T00:01:30")


def test_a_preview_strikes_out_excluded_days_beside_the_count(spec: Spec) -> None:
    exclude = Exclusions(weekdays=("SA", "SU"))
    found = preview_trigger(spec(Cron("0 9 * * *"), exclude=exclude), instant("2026-01-02T00:00:00"), 2)
    assert [item.excluded for item in found.items] == [None, "Saturday", "Sunday", None]


def test_the_command_imports_no_server_library() -> None:
    script = (
        "import sys, scheduler_domain.entrypoints.cli.preview; "
        "print([name for name in ('asyncpg', 'litestar', 'rich', 'nats', 'holidays') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
