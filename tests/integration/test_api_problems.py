"""Everything that goes wrong is problem+json, quick, small, and never our fault."""

import asyncio
import contextlib
import json
import random
import time
from typing import Any

import httpx
import pytest

from tests.integration.api_server import RunningApi, definition, token

JSON = {"Content-Type": "application/json"}
SLOWEST_ANSWER = 1.0
LARGEST_PROBLEM = 16 * 1024


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) <= LARGEST_PROBLEM
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance", "requestId", "code"} <= problem.keys()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["requestId"] == answer.headers["x-request-id"]
    return problem


async def test_what_is_not_there_and_what_is_not_allowed_there(editor: httpx.AsyncClient) -> None:
    assert_problem(await editor.get("/nope"), 404, "not-found")
    assert_problem(await editor.get("/schedules/not-an-id"), 404, "not-found")
    assert_problem(await editor.get("/docs/../../etc/passwd"), 404, "not-found")
    refused = await editor.delete("/schedules")
    assert_problem(refused, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(refused.headers["allow"].split(", "))


async def test_a_sane_request_id_is_kept_and_another_is_not(standing_api: RunningApi) -> None:
    client = await standing_api.client()
    kept = await client.get("/live", headers={"X-Request-Id": "order-17.a_B"})
    assert kept.headers["x-request-id"] == "order-17.a_B"
    for sent in ("a b", "x" * 129, "<script>", "a\tb"):
        answer = await client.get("/nope", headers={"X-Request-Id": sent})
        assert answer.headers["x-request-id"] not in {sent, ""}
    assert len({(await client.get("/live")).headers["x-request-id"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/merge-patch+json"}, 415),
        ({"Content-Type": "application/jsonx"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": 'Application/JSON; charset="UTF-8"'}, 201),
        ({}, 415),
    ],
)
async def test_a_body_is_plain_json(editor: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await editor.post("/schedules", content=json.dumps(definition()), headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"nonsense", "not-json"),
        (b'{"name": NaN}', "not-json"),
        (b'{"name": Infinity}', "not-json"),
        (b'{"payload": 1e999}', "not-json"),
        (b'{"payload": ' + b"9" * 5000 + b"}", "not-json"),
        (b'{"name": "a", "name": "b"}', "duplicate-key"),
        (b'{"payload": {"a": 1, "\\u0061": 2}}', "duplicate-key"),
        (b'{"payload": ' + b"[" * 17 + b"]" * 17 + b"}", "too-deep"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 20_000, "too-deep"),
        (b'{"name": "\xff"}', "not-utf-8"),
        ('{"name": "ü"}'.encode("utf-16"), "not-utf-8"),
        (b'{"payload": "\\ud800"}', "not-unicode"),
        (b"\xef\xbb\xbf{}", "not-json"),
    ],
)
async def test_a_body_that_is_not_strict_json_is_refused(editor: httpx.AsyncClient, body: bytes, code: str) -> None:
    answer = await editor.post("/schedules", content=body, headers=JSON)
    problem = assert_problem(answer, 400, "invalid-request")
    assert problem["errors"][0]["code"] == code


@pytest.mark.parametrize("body", [b"[]", b"5", b'"x"', b"null", b"true"])
async def test_a_body_that_is_no_object_is_refused(editor: httpx.AsyncClient, body: bytes) -> None:
    for path in ("/schedules", "/schedules/preview"):
        assert (await editor.post(path, content=body, headers=JSON)).status_code == 422
    made = (await editor.post("/schedules", json=definition())).json()["id"]
    assert (await editor.patch(f"/schedules/{made}", content=body, headers=JSON)).status_code in {400, 422}
    assert (await editor.post(f"/schedules/{made}/pause", content=body, headers=JSON)).status_code == 422


async def test_a_body_is_counted_in_bytes_whatever_it_announces(editor: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(400):
            yield b" " * 1024

    announced = await editor.post("/schedules", content=b" " * (256 * 1024 + 1), headers=JSON)
    assert_problem(announced, 413, "payload-too-large")
    assert_problem(await editor.post("/schedules", content=endless(), headers=JSON), 413, "payload-too-large")
    full = definition(payload="x" * (256 * 1024 - 300))
    assert (await editor.post("/schedules", json=full)).status_code == 201


async def test_a_request_that_is_no_http_is_refused_and_the_next_one_served(standing_api: RunningApi) -> None:
    host, port = standing_api.url.removeprefix("http://").split(":")
    for nonsense in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(nonsense)
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: appl")
        writer.close()
        await writer.wait_closed()
    assert (await (await standing_api.client()).get("/live")).status_code == 200


VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, "", "x", "x" * 5000, "\u0000", "\u202e", "\ud7ff", "${", "${}", "${a}", "$$",
    "' OR 1=1 --", "../../etc/passwd", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "* * * * *", "R R R R R", "*/99999999999999999999 * * * *", "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=0", "FREQ=YEARLY;COUNT=100000", "DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY", "right/UTC",
    "Europe", "a" * 300, "zone.tab", [], [[]], ["x"] * 1000, {}, {"a": {}}, {"type": "CRON"}, {"kind": "HTTP"},
    {"type": "RRULE", "rrule": "FREQ=MINUTELY;BYHOUR=25"}, {"kind": "HTTP", "http": {"url": "http://[::1]/"}},
    {"kind": "HTTP", "http": {"url": "https://0x7f.1/"}}, {"kind": "HTTP", "http": {"url": "https://\u3002\u3002/"}},
    {"kind": "EVENT", "eventTopic": "a\u2028b"}, {"type": "ONE_SHOT", "startAt": "0000-00-00"},
    {"type": "ONE_SHOT", "startAt": "2999-01-01T00:00:00+99:99"}, {"dates": ["x"] * 5000}, {"maxAttempts": 10**20},
    {"country": "XX"}, {"holidays": {"country": "DE", "subdivision": "../.."}},
]  # fmt: skip
FIELDS = [
    "key", "name", "description", "labels", "tz", "trigger", "target", "payload", "enabled", "startAt", "endAt",
    "maxRuns", "jitterSec", "exclude", "dst", "misfire", "overlap", "completion", "retry", "timeoutSec", "priority",
    "tenantId", "nope",
]  # fmt: skip


async def test_no_value_anywhere_makes_an_error_of_ours_or_takes_long(editor: httpx.AsyncClient) -> None:
    """Hostile values in fields, alone and by threes, drawn by a fixed seed, to routes that take a body."""
    drawn = random.Random(20261122)  # noqa: S311 (draws test cases, no secrets)
    made = (await editor.post("/schedules", json=definition())).json()["id"]
    bodies = drawn.sample([{field: value} for field in FIELDS for value in VALUES], 300)
    bodies += [{field: drawn.choice(VALUES) for field in drawn.sample(FIELDS, 3)} for _ in range(100)]
    for number, more in enumerate(bodies):
        body = json.dumps({**definition(), **more})
        method, path = drawn.choice(
            [("POST", "/schedules"), ("POST", "/schedules/preview"), ("PATCH", f"/schedules/{made}")]
        )
        started_at = time.monotonic()
        answer = await editor.request(
            method, path, content=body if method == "POST" else json.dumps(more), headers=JSON
        )
        took = time.monotonic() - started_at
        assert answer.status_code < 500, (number, method, path, more, answer.text)
        assert took < SLOWEST_ANSWER, (took, method, more)
        if not answer.is_success:
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.content) <= LARGEST_PROBLEM


async def test_no_path_header_or_query_makes_an_error_of_ours(editor: httpx.AsyncClient) -> None:
    hostile = ["%00", "%ff", "..%2f..", "x" * 3000, "'--", "{}", "%0d%0aX: y", "\u00e4", "-1", "a%20b", "*", "null"]
    for value in hostile:
        for path in ("/schedules/{}", "/schedules/by-key/{}", "/occurrences/{}", "/schedules/{}/next", "/docs/{}"):
            assert (await editor.get(path.format(value))).status_code < 500
        for name in ("q", "label", "cursor", "sort", "page", "pageSize", "state", "from", "scheduleId", value):
            for path in ("/schedules", "/occurrences"):
                assert (await editor.get(f"{path}?{name}={value}")).status_code < 500
    for name in ("If-Match", "Idempotency-Key", "X-Request-Id", "X-Tenant-Id", "Authorization", "Content-Type"):
        for value in (b"", b"\xff\xfe", b"x" * 5000, b'"', b"W/", b"*,*", b'"1"' * 500):
            headers = {**dict(editor.headers), name: value}
            answer = await editor.post("/schedules", content=b"{}", headers=headers)
            assert answer.status_code < 500, (name, value)


@pytest.mark.parametrize("head", [b"GET /live HTTP/1.1\r\nHost: x\r\nX-A: ", b"GET /", b"GET /live HTTP/1.1\r\nX: y"])
async def test_a_head_without_end_is_refused_while_it_arrives(standing_api: RunningApi, head: bytes) -> None:
    answer = await _answer_to_endless(standing_api, head)
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer
    assert b"200 OK" not in answer
    assert (await (await standing_api.client()).get("/live", headers={"X-A": "a" * 60_000})).status_code == 200


@pytest.mark.parametrize("route", [b"POST /schedules", b"GET /live"])
async def test_trailers_without_end_are_refused_while_they_arrive(standing_api: RunningApi, route: bytes) -> None:
    head = route + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: "
    answer = await _answer_to_endless(standing_api, head)
    assert answer.count(b"HTTP/1.1 ") <= 1


async def test_blank_lines_without_end_are_refused_while_they_arrive(standing_api: RunningApi) -> None:
    answer = await _answer_to_endless(standing_api, b"\r\n", b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer


async def test_trailers_are_read_and_mean_nothing(standing_api: RunningApi) -> None:
    host, _, port = standing_api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /live HTTP/1.1\r\nHost: x\r\nX-Request-Id: before\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        b"X-Request-Id: behind\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(10):
        answers = await reader.read()
    writer.close()
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b"x-request-id: before" in answers.lower()
    assert b"behind" not in answers


async def _answer_to_endless(api: RunningApi, head: bytes, more: bytes = b"a") -> bytes:
    """Send a beginning, then ever more of it; return what was answered when the connection was ended."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head)
    answer = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):  # whoever is refused may still be writing
            for _ in range(64):
                writer.write(more * (64 * 1024 // len(more)))
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
    writer.close()
    return answer


async def test_no_answer_repeats_a_token(standing_api: RunningApi) -> None:
    secret = token()[:-5] + "wrong"
    client = await standing_api.client({"Authorization": f"Bearer {secret}", "X-Tenant-Id": "acme"})
    assert secret not in (await client.get("/schedules")).text
