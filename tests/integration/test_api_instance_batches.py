"""Instances by the batch: every line has its own answer, and sending it all again changes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.api_server import RunningApi

PATH = "/templates/birthday/instances:batch"
NDJSON = {"Content-Type": "application/x-ndjson"}


def person(number: int, **changes: Any) -> dict[str, Any]:
    parameters = {"firstName": f"F{number}", "lastName": "L", "dateOfBirth": "1990-06-15", "tz": "Europe/Paris"}
    return {"key": f"p{number}", "parameters": {**parameters, **changes}}


def ndjson(*people: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in people)


async def sent(client: httpx.AsyncClient, body: Any, query: str = "", headers: Any = None) -> list[dict[str, Any]]:
    answer = await client.post(PATH + query, content=body, headers=headers or NDJSON)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def counts(answered: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(answered[-1]["summary"].values())


async def stored(client: httpx.AsyncClient) -> int:
    return (await client.get("/templates/birthday/instances")).json()["total"]


async def test_each_line_is_answered_in_order_and_the_last_line_counts_them(editor: httpx.AsyncClient) -> None:
    answered = await sent(editor, ndjson(person(1), person(2, tz="Nowhere"), person(3)))
    assert [(line["line"], line["status"], line["key"]) for line in answered[:-1]] == [
        (1, "CREATED", "p1"), (2, "FAILED", "p2"), (3, "CREATED", "p3"),
    ]  # fmt: skip
    assert answered[1]["errors"][0]["pointer"] == "/parameters/tz"
    assert answered[-1] == {
        "summary": {"created": 2, "changed": 0, "unchanged": 0, "failed": 1},
        "dryRun": False,
        "resultsOmitted": 0,
        "aborted": None,
    }


async def test_sending_it_all_again_changes_nothing(editor: httpx.AsyncClient) -> None:
    body = ndjson(*map(person, range(1200)))
    assert counts(await sent(editor, body)) == (1200, 0, 0, 0)
    assert counts(await sent(editor, body)) == (0, 0, 1200, 0)
    assert await stored(editor) == 1200


async def test_an_instance_of_a_batch_is_the_one_that_a_single_put_would_have_made(editor: httpx.AsyncClient) -> None:
    await sent(editor, ndjson(person(1)))
    body = {"parameters": person(2)["parameters"]}
    assert (await editor.put("/templates/birthday/instances/p2", json=body)).status_code == 201
    batched, single = [(await editor.get(f"/templates/birthday/instances/p{number}")).json() for number in (1, 2)]
    schedules = [(await editor.get(f"/schedules/{item['scheduleId']}")).json() for item in (batched, single)]
    unlike = {"id", "name", "payload", "createdAt", "updatedAt"}
    assert [{k: v for k, v in item.items() if k not in unlike} for item in schedules[:1]] == [
        {k: v for k, v in item.items() if k not in unlike} for item in schedules[1:]
    ]


async def test_what_changed_is_changed_and_nothing_else(editor: httpx.AsyncClient) -> None:
    await sent(editor, ndjson(*map(person, range(20))))
    before = (await editor.get("/templates/birthday/instances/p3")).json()
    changed = [person(number, tz="Asia/Tokyo") if number % 2 else person(number) for number in range(20)]
    assert counts(await sent(editor, ndjson(*changed))) == (0, 10, 10, 0)
    after = (await editor.get("/templates/birthday/instances/p3")).json()
    assert (after["scheduleId"], after["version"]) == (before["scheduleId"], 2)
    assert after["nextFireAt"].endswith("-06-15T00:00:00Z")
    schedule = (await editor.get(f"/schedules/{after['scheduleId']}")).json()
    assert (schedule["tz"], schedule["revision"]) == ("Asia/Tokyo", 2)
    assert (await editor.get("/templates/birthday/instances/p2")).json()["version"] == 1


async def test_a_dry_run_says_what_would_change_and_changes_nothing(editor: httpx.AsyncClient) -> None:
    await sent(editor, ndjson(person(1), person(2)))
    body = ndjson(person(1), person(2, tz="UTC"), person(3), person(4, tz="Nowhere"))
    answered = await sent(editor, body, "?dryRun=true")
    assert [line["status"] for line in answered[:-1]] == ["UNCHANGED", "CHANGED", "CREATED", "FAILED"]
    assert answered[-1]["dryRun"] is True
    assert await stored(editor) == 2
    assert (await editor.get("/templates/birthday/instances/p2")).json()["version"] == 1


async def test_only_what_failed_is_told_on_request(editor: httpx.AsyncClient) -> None:
    answered = await sent(editor, ndjson(person(1), person(2, tz="Nowhere")), "?results=failed")
    assert [line.get("key") for line in answered] == ["p2", None]


async def test_the_last_line_of_a_key_is_the_one_that_counts(editor: httpx.AsyncClient) -> None:
    lines = [person(1, lastName=f"L{number}") for number in range(700)] + [person(number) for number in range(2, 900)]
    answered = await sent(editor, ndjson(*lines, person(1, lastName="Last")))
    assert answered[0]["status"] == "CREATED"
    assert {line["status"] for line in answered[1:700]} == {"CHANGED"}
    one = (await editor.get("/templates/birthday/instances/p1")).json()
    assert one["parameters"]["lastName"] == "Last"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "not-json"),
        (b'{"key": "a", "key": "b", "parameters": {}}', "duplicate-key"),
        (b'{"key": "a"}', "required"),
        (b'{"key": "a", "parametrs": {}}', "unknown-field"),
        (b'{"key": "a", "parameters": []}', "invalid-type"),
        (b'["a"]', "invalid-type"),
        (b'{"key": "a b", "parameters": {}}', "invalid-key"),
        (b"\xff", "not-utf-8"),
        (b"[" * 100, "too-deep"),
        (b'{"key": "' + b"a" * 20_000 + b'"}', "line-too-long"),
        (b"x" * 200_000, "line-too-long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_line_that_cannot_be_read_stops_no_other(editor: httpx.AsyncClient, line: bytes, code: str) -> None:
    answered = await sent(editor, ndjson(person(1)) + b"\n" + line + b"\n" + ndjson(person(2)))
    assert [(item["line"], item["status"]) for item in answered[:-1]] == [(1, "CREATED"), (3, "FAILED"), (4, "CREATED")]
    assert answered[1]["errors"][0]["code"] == code


async def test_a_json_array_is_read_as_its_items(editor: httpx.AsyncClient) -> None:
    body = json.dumps([person(number) for number in range(5_000)], indent=1).encode()
    assert len(body) > 2 * 256 * 1024
    answered = await sent(editor, body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert counts(answered) == (5_000, 0, 0, 0)
    assert await sent(editor, b" [ ] ", headers={"Content-Type": "application/json"}) == [
        {"summary": dict.fromkeys(("created", "changed", "unchanged", "failed"), 0), "dryRun": False,
         "resultsOmitted": 0, "aborted": None}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (b"", "ends before its array does"),
        (b", nonsense]", "is not JSON"),
        (b",]", "ends before its array does"),
        (b"] []", "nothing is accepted"),
        (b"}", "is accepted, not"),
    ],
)
async def test_an_array_that_breaks_off_is_applied_as_far_as_it_can_be_read(
    editor: httpx.AsyncClient, end: bytes, why: str
) -> None:
    body = b"[" + json.dumps(person(1)).encode() + end
    if b"nonsense" in end:
        body += b" " * 20_000
    answered = await sent(editor, body, headers={"Content-Type": "application/json"})
    assert answered[0]["status"] == "CREATED"
    assert why in answered[-1]["aborted"]["message"]


async def test_lines_arrive_in_chunks_of_any_size(editor: httpx.AsyncClient) -> None:
    body = ndjson(*[person(number, firstName="Ünï") for number in range(30)])
    array = json.dumps([person(number, firstName="Ünï") for number in range(30)], ensure_ascii=False).encode()

    async def drop_by_drop(whole: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 7):
            yield whole[start : start + 7]

    assert counts(await sent(editor, drop_by_drop(body))) == (30, 0, 0, 0)
    assert counts(await sent(editor, drop_by_drop(array), headers={"Content-Type": "application/json"})) == (
        0,
        0,
        30,
        0,
    )


async def test_a_key_that_no_database_would_look_for_fails_alone(editor: httpx.AsyncClient) -> None:
    answered = await sent(editor, ndjson(person(1), {**person(2), "key": "a\0b"}, person(3)))
    assert [line["status"] for line in answered[:-1]] == ["CREATED", "FAILED", "CREATED"]


async def test_a_batch_is_refused_before_it_is_read(standing_api: RunningApi, tenant: str) -> None:
    editor, viewer = await standing_api.caller(tenant, "editor"), await standing_api.caller(tenant, "viewer")
    body = ndjson(person(1))
    assert (await viewer.post(PATH, content=body, headers=NDJSON)).status_code == 403
    assert (await editor.post("/templates/none/instances:batch", content=body, headers=NDJSON)).status_code == 404
    assert (await editor.post(PATH, content=body, headers={"Content-Type": "text/csv"})).status_code == 415
    assert (await editor.post(f"{PATH}?dryrun=true", content=body, headers=NDJSON)).status_code == 422


async def test_two_batches_of_the_same_people_at_the_same_time_make_each_of_them_once(
    editor: httpx.AsyncClient,
) -> None:
    body = ndjson(*map(person, range(900)))
    answered = await asyncio.gather(*(sent(editor, body) for _ in range(3)))
    assert all(counts(item)[3] == 0 for item in answered)
    assert sum(counts(item)[0] for item in answered) == 900
    assert await stored(editor) == 900


async def test_birthdays_within_the_minute_are_in_the_queue_at_once_and_move_with_their_people(
    api: RunningApi, connection: asyncpg.Connection
) -> None:
    client = await api.caller("acme", "editor")
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    today = {"dateOfBirth": f"1990-{soon:%m-%d}", "tz": "UTC"}
    await sent(client, ndjson(*[person(number, **today, sendAt=f"{soon:%H:%M:%S}") for number in range(10)]))
    assert await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE scheduled_for = $1", soon) == 10
    later = soon + timedelta(seconds=5)
    lines = [person(number, **today, sendAt=f"{later:%H:%M:%S}") for number in range(10)]
    assert counts(await sent(client, ndjson(*lines))) == (0, 10, 0, 0)
    rows = await connection.fetch("SELECT scheduled_for, revision FROM scheduler.due_queue")
    assert {tuple(row) for row in rows} == {(later, 2)}


async def test_a_client_that_reads_only_at_the_end_is_not_waited_for(editor: httpx.AsyncClient) -> None:
    """httpx reads nothing before it has sent all: a server that waited for it would wait for ever."""
    lines = [person(number, tz="Nowhere", firstName="x" * 90) for number in range(4_000)]
    answered = await sent(editor, ndjson(*lines) + ndjson(*map(person, range(10))))
    assert counts(answered) == (10, 0, 0, 4_000)
