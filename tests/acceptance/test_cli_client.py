"""The client commands against an API that answers as it is told: what is sent, and how refusals are told."""

import json
from typing import Any

import pytest

from tests.acceptance.scheduler_command import scheduler
from tests.support.receiver import Receiver, reply

ID = "01934c5e-7f00-7a31-9b1e-5d0c2f6a7b8c"
SCHEDULE = {
    "id": ID,
    "key": "daily-report",
    "name": "Daily [bold]Report",
    "labels": {"team": "billing"},
    "tz": "Europe/Berlin",
    "trigger": {"type": "CRON", "cron": "0 9 * * *"},
    "target": {"kind": "EVENT", "eventTopic": "reports.daily"},
    "payload": None,
    "state": "PAUSED",
    "stateReason": "maintenance",
    "nextFireAt": None,
    "lastFireAt": None,
    "version": 3,
}


def environment(receiver: Receiver) -> dict[str, str]:
    return {"SCHEDULER_URL": receiver.url, "SCHEDULER_TOKEN": "header.claims.signature", "SCHEDULER_TENANT": "acme"}


def problem(status: int, **members: Any) -> Any:
    document = {"type": "about:blank", "title": "Refused", "status": status, "requestId": "r-1", **members}
    return reply(status, headers={"Content-Type": "application/problem+json"}, body=json.dumps(document).encode())


def answer(document: object, status: int = 200) -> Any:
    headers = {"Content-Type": "application/json", "X-Request-Id": "r-1"}
    return reply(status, headers=headers, body=json.dumps(document).encode())


async def test_every_request_carries_the_token_and_the_tenant(receiver: Receiver) -> None:
    receiver.always(answer(SCHEDULE))
    ended = await scheduler("schedules", "get", ID, environment=environment(receiver))
    assert ended.exit_code == 0
    (request,) = receiver.requests
    assert request.path == f"/schedules/{ID}"
    assert request.headers["Authorization"] == "Bearer header.claims.signature"
    assert request.headers["X-Tenant-Id"] == "acme"


async def test_a_schedule_may_be_named_by_its_key(receiver: Receiver) -> None:
    receiver.always(answer(SCHEDULE))
    ended = await scheduler("schedules", "pause", "daily-report", "--reason", "x", environment=environment(receiver))
    assert ended.exit_code == 0, ended.stderr
    assert [request.path for request in receiver.requests] == [
        "/schedules/by-key/daily-report",
        f"/schedules/{ID}/pause",
    ]
    assert json.loads(receiver.requests[-1].body) == {"reason": "x"}


async def test_a_schedule_is_shown_field_by_field(receiver: Receiver) -> None:
    receiver.always(answer(SCHEDULE))
    ended = await scheduler("schedules", "get", ID, environment=environment(receiver))
    shown = dict(line.split("  ", 1) for line in ended.stdout.splitlines())
    fields = {name.strip(): value.strip() for name, value in shown.items()}
    assert fields["name"] == "Daily [bold]Report"
    assert fields["trigger"] == "CRON 0 9 * * *"
    assert fields["target"] == "event reports.daily"
    assert fields["state"] == "PAUSED (maintenance)"
    assert "next" not in fields


async def test_json_is_what_the_api_answered_on_one_line(receiver: Receiver) -> None:
    receiver.always(answer(SCHEDULE))
    ended = await scheduler("schedules", "get", ID, "--json", environment=environment(receiver))
    (line,) = ended.stdout.splitlines()
    assert json.loads(line) == SCHEDULE


async def test_filters_are_sent_under_the_names_of_the_api(receiver: Receiver) -> None:
    receiver.always(answer({"items": [SCHEDULE], "page": 1, "pageSize": 5, "total": 7, "nextCursor": None}))
    filters = ["--state", "PAUSED", "-q", "rep", "--target-kind", "EVENT", "--page-size", "5", "--label"]
    ended = await scheduler("schedules", "list", *filters, "team=billing", environment=environment(receiver))
    assert ended.exit_code == 0, ended.stderr
    assert receiver.requests[0].query == {
        "state": "PAUSED",
        "q": "rep",
        "targetKind": "EVENT",
        "pageSize": "5",
        "label": "team:billing",
    }
    heading, row = ended.stdout.splitlines()
    assert heading.split() == ["ID", "KEY", "NAME", "TRIGGER", "TARGET", "STATE", "NEXT"]
    assert row.split("  ")[0] == ID
    assert "1 of 7 schedules" in ended.stderr


async def test_the_next_instants_are_told_in_words_and_by_the_clock_on_the_wall(receiver: Receiver) -> None:
    shifted = {"at": "2027-03-28T01:30:00Z", "local": "2027-03-28T03:30:00", "offset": "+02:00", "dst": "SHIFTED"}
    preview = {
        "words": "At 02:30, Europe/Berlin time",
        "notes": [{"code": "n", "message": "m"}],
        "occurrences": [shifted],
    }
    receiver.always(answer(preview))
    ended = await scheduler("schedules", "next", ID, "--count", "1", environment=environment(receiver))
    assert receiver.requests[0].query == {"count": "1"}
    words, note, heading, row = ended.stdout.splitlines()
    assert (words, note) == ("At 02:30, Europe/Berlin time", "note: m")
    assert heading.split("  ")[0] == "LOCAL TIME"
    assert row.split("  ") == ["2027-03-28 03:30:00", "+02:00", "2027-03-28T01:30:00Z", "shifted"]


async def test_an_edit_may_ask_for_the_version_it_is_based_on(receiver: Receiver) -> None:
    receiver.always(problem(412, detail="the schedule has version 4"))
    arguments = ["update", ID, "--name", "New", "--if-version", "3"]
    ended = await scheduler("schedules", *arguments, environment=environment(receiver))
    assert receiver.requests[0].headers["If-Match"] == '"3"'
    assert (ended.exit_code, ended.error) == (1, "412 the schedule has version 4")


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--name", "N"],
        ["create", "--cron", "@daily", "--event", "a"],
        ["update", ID],
        ["list", "--page-size", "500"],
        ["next", ID, "--count", "0"],
    ],
)
async def test_bad_usage_is_refused_before_anything_is_sent(receiver: Receiver, arguments: list[str]) -> None:
    ended = await scheduler("schedules", *arguments, environment=environment(receiver))
    assert ended.exit_code == 2
    assert ended.error
    assert receiver.requests == []


class TestRefusals:
    async def test_each_problem_is_told_with_its_place_and_what_is_accepted(self, receiver: Receiver) -> None:
        errors = [
            {"pointer": "/trigger/cron", "code": "invalid-cron", "message": "minute 61: 0 to 59 are accepted"},
            {"pointer": "/tz", "code": "unknown-zone", "message": "Europe/Berlni: did you mean Europe/Berlin?"},
        ]
        receiver.always(problem(422, detail="the schedule cannot be accepted", errors=errors))
        arguments = ["create", "--name", "N", "--cron", "61 * * * *", "--tz", "Europe/Berlni", "--event", "a"]
        ended = await scheduler("schedules", *arguments, environment=environment(receiver))
        assert ended.exit_code == 1
        assert ended.stderr.splitlines() == [
            "Error: 422 the schedule cannot be accepted",
            "  /trigger/cron: minute 61: 0 to 59 are accepted (invalid-cron)",
            "  /tz: Europe/Berlni: did you mean Europe/Berlin? (unknown-zone)",
        ]

    async def test_a_single_problem_is_told_in_one_line(self, receiver: Receiver) -> None:
        message = "no zone of the tz database; did you mean Europe/Berlin?"
        errors = [{"pointer": "/tz", "code": "unknown-zone", "message": message}]
        receiver.always(problem(422, detail=message, errors=errors))
        ended = await scheduler("schedules", "update", ID, "--tz", "Europe/Berlni", environment=environment(receiver))
        assert ended.stderr == f"Error: 422 /tz: {message} (unknown-zone)\n"

    async def test_a_refused_token_is_told_with_what_may_be_wrong(self, receiver: Receiver) -> None:
        receiver.always(problem(401, detail="a valid bearer token is needed"))
        ended = await scheduler("occurrences", "list", environment=environment(receiver))
        assert ended.exit_code == 1
        assert "SCHEDULER_TOKEN was not accepted" in ended.stderr

    async def test_a_failure_of_the_api_is_told_with_the_request_to_look_up(self, receiver: Receiver) -> None:
        receiver.always(problem(500, detail="it failed"))
        ended = await scheduler("occurrences", "show", ID, environment=environment(receiver))
        assert ended.exit_code == 1
        assert "request r-1" in ended.stderr

    async def test_an_answer_that_is_no_problem_document_is_quoted(self, receiver: Receiver) -> None:
        receiver.always(reply(502, body=b"<h1>\x1b[31mbad gateway</h1>"))
        ended = await scheduler("schedules", "list", environment=environment(receiver))
        assert (ended.exit_code, ended.error) == (1, "502 Bad Gateway: <h1>bad gateway</h1>")

    @pytest.mark.parametrize("body", [b"<h1>welcome</h1>", b'{"status": "ok"}', b""])
    async def test_an_answer_of_another_service_is_no_traceback(self, receiver: Receiver, body: bytes) -> None:
        receiver.always(reply(200, body=body))
        ended = await scheduler("schedules", "list", environment=environment(receiver))
        assert (ended.exit_code, "SCHEDULER_URL" in ended.error) == (1, True)

    @pytest.mark.parametrize("document", [{"errors": "none"}, {"errors": [1]}, ["no"]])
    async def test_a_refusal_of_another_service_is_quoted(self, receiver: Receiver, document: object) -> None:
        receiver.always(answer(document, status=404))
        ended = await scheduler("schedules", "list", environment=environment(receiver))
        assert (ended.exit_code, ended.error) == (1, f"404 Not Found: {json.dumps(document)}")

    async def test_an_api_that_is_away_is_told_with_what_to_check(self) -> None:
        away = {"SCHEDULER_URL": "http://127.0.0.1:1", "SCHEDULER_TOKEN": "t", "SCHEDULER_TENANT": "acme"}
        ended = await scheduler("schedules", "list", environment=away)
        assert ended.exit_code == 1
        assert ended.error.startswith("http://127.0.0.1:1 cannot be reached")
        assert "`scheduler dev`" in ended.error

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("SCHEDULER_TOKEN", ""),
            ("SCHEDULER_TENANT", ""),
            ("SCHEDULER_TOKEN", "two\nlines"),
            ("SCHEDULER_URL", "127.0.0.1:3080"),
            ("SCHEDULER_URL", "http://["),
            ("SCHEDULER_URL", "http://127.0.0.1:port"),
            ("SCHEDULER_URL", "http://127.0.0.1:99999"),
            ("SCHEDULER_URL", "http://ä..b"),
            ("SCHEDULER_URL", "http://127.0.0.1:3080?x=1"),
            ("SCHEDULER_URL", "http://user:secret@127.0.0.1:3080"),
        ],
    )
    async def test_a_missing_or_unusable_variable_is_named(self, variable: str, value: str) -> None:
        given = {"SCHEDULER_TOKEN": "t", "SCHEDULER_TENANT": "acme", variable: value}
        ended = await scheduler("schedules", "list", environment=given)
        assert ended.exit_code == 1
        assert ended.error.startswith(variable)
        assert "secret" not in ended.error

    @pytest.mark.parametrize(
        "arguments",
        [
            ["occurrences", "show", ""],
            ["occurrences", "cancel", ".."],
            ["occurrences", "replay", ""],
            ["schedules", "get", ".."],
            ["schedules", "delete", "\udcff"],
            ["templates", "show", ""],
            ["templates", "preview", "."],
            ["schedules", "create", "--name", "\udcff", "--cron", "0 9 * * *", "--event", "reports"],
        ],
        ids=ascii,
    )
    async def test_what_no_path_or_body_can_carry_is_refused_before_anything_is_sent(
        self, receiver: Receiver, arguments: list[str]
    ) -> None:
        ended = await scheduler(*arguments, environment=environment(receiver))
        assert ended.exit_code == 1
        assert "is accepted" in ended.error or "is not UTF-8" in ended.error
        assert not receiver.requests

    async def test_an_id_is_one_segment_of_the_path_whatever_it_holds(self, receiver: Receiver) -> None:
        receiver.always(problem(404, detail="there is nothing with this id"))
        ended = await scheduler("occurrences", "show", "a/../b?c#d", environment=environment(receiver))
        assert ended.exit_code == 1
        (request,) = receiver.requests
        assert request.path == "/occurrences/a/../b?c#d"


class TestRecovery:
    async def test_a_backfill_is_asked_for_and_counted(self, receiver: Receiver) -> None:
        receiver.always(answer({"created": 7, "alreadyPresent": 2, "stillToPlan": 0}, 202))
        range_ = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]
        ended = await scheduler("schedules", "backfill", ID, *range_, environment=environment(receiver))
        assert ended.exit_code == 0, ended.stderr
        assert receiver.requests[0].path == f"/schedules/{ID}/backfill"
        assert json.loads(receiver.requests[0].body) == {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
        assert ended.stdout.split() == ["created", "7", "already", "present", "2"]

    @pytest.mark.parametrize("missing", [[], [{"id": ID, "scheduledFor": "2026-01-01T00:00:00Z"}]])
    async def test_an_audit_fails_where_something_is_missing(self, receiver: Receiver, missing: list[Any]) -> None:
        counts = {"expected": 9, "found": 9 - len(missing), "auditedFrom": None, "auditedTo": None}
        receiver.always(answer({**counts, "missing": missing, "unexpected": []}))
        ended = await scheduler(
            "schedules", "audit", ID, "--from", "2026-01-01T00:00:00Z", environment=environment(receiver)
        )
        assert receiver.requests[0].query == {"from": "2026-01-01T00:00:00Z"}
        assert ended.exit_code == len(missing)
        assert ("MISSING" in ended.stdout) == bool(missing)

    async def test_one_occurrence_is_replayed_or_cancelled_by_its_id(self, receiver: Receiver) -> None:
        receiver.always(answer({"id": ID, "scheduleId": ID, "status": "PENDING", "kind": "SCHEDULED"}, 202))
        for command in ("replay", "cancel"):
            ended = await scheduler("occurrences", command, ID, "--json", environment=environment(receiver))
            assert ended.exit_code == 0, ended.stderr
            assert json.loads(ended.stdout)["id"] == ID
        assert [item.path for item in receiver.requests] == [f"/occurrences/{ID}/{it}" for it in ("replay", "cancel")]

    async def test_dead_letters_are_replayed_batch_by_batch(self, receiver: Receiver) -> None:
        receiver.next_answers(answer({"items": [], "total": 1200}), path="/occurrences")
        receiver.next_answers(
            answer({"replayed": 1000, "notReplayed": 0, "nextCursor": "here"}, 202),
            answer({"replayed": 199, "notReplayed": 1, "nextCursor": None}, 202),
            path="/occurrences/replay",
        )
        ended = await scheduler("occurrences", "replay", "--schedule", ID, environment=environment(receiver))
        assert ended.exit_code == 0, ended.stderr
        assert ended.stdout == "replayed 1199; 1 left, whose schedule is gone or disabled\n"
        asked, first, second = receiver.requests
        assert asked.query == {"status": "FAILED", "scheduleId": ID, "pageSize": "1"}
        assert json.loads(first.body) == {"status": "FAILED", "scheduleId": ID}
        assert json.loads(second.body) == {"status": "FAILED", "scheduleId": ID, "cursor": "here"}

    @pytest.mark.parametrize("arguments", [["replay"], ["replay", ID, "--all"], ["cancel"]])
    async def test_what_is_to_be_replayed_has_to_be_said(self, receiver: Receiver, arguments: list[str]) -> None:
        ended = await scheduler("occurrences", *arguments, environment=environment(receiver))
        assert (ended.exit_code, receiver.requests) == (2, [])
