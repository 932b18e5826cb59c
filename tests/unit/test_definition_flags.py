"""From flags to a definition: each flag lands in its place, and what cannot go together is refused."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from scheduler_domain.entrypoints.cli.definition import definition_flags, definition_from


@click.command()
@definition_flags
def define(**flags: Any) -> None:
    click.echo(json.dumps(definition_from(flags)))


def definition(*arguments: str, stdin: str = "") -> dict[str, Any]:
    result = CliRunner().invoke(define, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def refusal(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(define, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "trigger"),
    [
        (["--cron", "0 9 * * 1-5"], {"type": "CRON", "cron": "0 9 * * 1-5"}),
        (["--rrule", "FREQ=DAILY"], {"type": "RRULE", "rrule": "FREQ=DAILY"}),
        (
            ["--rrule", "FREQ=DAILY", "--dtstart", "2027-01-31T09:00:00"],
            {"type": "RRULE", "rrule": "FREQ=DAILY", "dtstart": "2027-01-31T09:00:00"},
        ),
        (["--every", "90"], {"type": "FIXED_DELAY", "delaySec": 90}),
        (["--every", "15m", "--anchor", "SCHEDULE"], {"type": "FIXED_DELAY", "delaySec": 900, "anchor": "SCHEDULE"}),
        (["--every", "1d"], {"type": "FIXED_DELAY", "delaySec": 86_400}),
        (["--at", "2027-01-01T09:00:00Z"], {"type": "ONE_SHOT", "startAt": "2027-01-01T09:00:00Z"}),
        (["--at", "2020-01-01", "--run-if-past"], {"type": "ONE_SHOT", "startAt": "2020-01-01", "ifPast": "RUN_NOW"}),
    ],
)
def test_each_trigger_has_its_flag(arguments: list[str], trigger: dict[str, Any]) -> None:
    assert definition(*arguments) == {"trigger": trigger}


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["--event", "a.b"], {"kind": "EVENT", "eventTopic": "a.b"}),
        (["--http", "https://x.example/y"], {"kind": "HTTP", "http": {"url": "https://x.example/y"}}),
        (
            ["--http", "https://x.example", "--method", "PUT", "--header", "X-A: b:c", "--success-status", "201"],
            {
                "kind": "HTTP",
                "http": {
                    "url": "https://x.example",
                    "method": "PUT",
                    "headers": {"X-A": "b:c"},
                    "successStatus": ["201"],
                },
            },
        ),
        (["--queue", "q"], {"kind": "QUEUE", "queue": {"topic": "q"}}),
        (["--queue", "q", "--broker", "SQS"], {"kind": "QUEUE", "queue": {"topic": "q", "broker": "SQS"}}),
    ],
)
def test_each_target_has_its_flag(arguments: list[str], target: dict[str, Any]) -> None:
    assert definition(*arguments) == {"target": target}


def test_every_other_flag_lands_in_its_place() -> None:
    assert definition(
        *(
            "--name",
            "N",
            "--key",
            "k",
            "--description",
            "d",
            "--label",
            "a=1",
            "--label",
            "b=x=y",
            "--tz",
            "Asia/Tokyo",
        ),
        *("--start", "2027-01-01T00:00:00Z", "--end", "2028-01-01T00:00:00Z", "--max-runs", "3", "--jitter", "2m"),
        *("--gap", "SKIP", "--fold", "BOTH", "--misfire", "SKIP", "--max-attempts", "5", "--timeout", "30s"),
        *("--overlap", "BUFFER_ONE", "--completion", "CALLBACK", "--priority", "0", "--disabled"),
    ) == {
        "name": "N",
        "key": "k",
        "description": "d",
        "labels": {"a": "1", "b": "x=y"},
        "tz": "Asia/Tokyo",
        "startAt": "2027-01-01T00:00:00Z",
        "endAt": "2028-01-01T00:00:00Z",
        "maxRuns": 3,
        "jitterSec": 120,
        "dst": {"gap": "SKIP", "fold": "BOTH"},
        "misfire": {"policy": "SKIP"},
        "overlap": "BUFFER_ONE",
        "completion": "CALLBACK",
        "retry": {"maxAttempts": 5},
        "timeoutSec": 30,
        "priority": 0,
        "enabled": False,
    }


def test_what_is_not_named_is_not_sent() -> None:
    assert definition() == {}


@pytest.mark.parametrize(
    ("text", "payload"), [('{"a": 1}', {"a": 1}), ("null", None), ('"text"', "text"), ("0", 0), ("false", False)]
)
def test_a_payload_is_any_json(text: str, payload: object) -> None:
    assert definition("--payload", text) == {"payload": payload}


def test_a_payload_may_stand_in_a_file_or_on_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"greeting": "ü"}', encoding="utf-8")
    assert definition("--payload", f"@{file}") == {"payload": {"greeting": "ü"}}
    assert definition("--payload", "@-", stdin="[1]") == {"payload": [1]}


def test_a_file_brings_the_whole_definition(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text('{"name": "N"}', encoding="utf-8")
    assert definition("-f", str(file)) == {"name": "N"}
    assert definition("-f", "-", stdin='{"name": "M"}') == {"name": "M"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cron", "@daily", "--every", "5m"], "--cron and --every exclude each other"),
        (["--event", "a", "--queue", "b"], "--event and --queue exclude each other"),
        (["--cron", "@daily", "--dtstart", "2027-01-01"], "--dtstart goes with --rrule"),
        (["--at", "2027-01-01", "--anchor", "SCHEDULE"], "--anchor goes with --every"),
        (["--event", "a", "--header", "X: y"], "--header goes with --http"),
        (["--broker", "NATS"], "--broker goes with --queue"),
        (["--every", "soon"], "seconds, or a number with s, m, h or d"),
        (["--header", "X"], "--header goes with --http"),
        (["--http", "https://x.example", "--header", "X"], "'NAME: VALUE' is accepted"),
        (["--label", "a"], "NAME=VALUE is accepted"),
        (["--payload", "{a: 1}"], "--payload cannot be read"),
        (["--payload", '{"a": 1, "a": 2}'], 'the member "a" appears twice'),
        (["--payload", "NaN"], "NaN is not JSON"),
        (["--payload", "[" * 100_000], "nests deeper"),
        (["--payload", r'"\ud800"'], "half of a surrogate pair"),
        (["--payload", "@/nowhere/at/all"], "cannot read /nowhere/at/all: No such file"),
        (["-f", "/nowhere/at/all"], "cannot read /nowhere/at/all: No such file"),
        (["-f", "-", "--name", "N"], "-f brings a whole definition: leave out --name"),
        (["-f", "-", "--priority", "0"], "-f brings a whole definition: leave out --priority"),
        (["-f", "-"], "-f cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(arguments: list[str], message: str) -> None:
    assert message in refusal(*arguments)
