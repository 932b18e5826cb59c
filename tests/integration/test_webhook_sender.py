"""The webhook sender against receivers that behave, and against those that do not."""

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from scheduler_domain import __version__
from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.callback import CallbackRight, callback_path, right_of
from scheduler_domain.domain.outcome import Accepted, Delivered, Refused, Unreachable
from scheduler_domain.domain.target import EventTarget, HttpMethod
from scheduler_domain.infra.webhook.answer import LONGEST_EXCERPT, excerpt_of, retry_after_in
from scheduler_domain.infra.webhook.sender import LARGEST_ANSWER, WebhookSender
from tests.integration.deliveries import FIRED_AT, NINE, SCHEDULE, webhook
from tests.support.receiver import Receiver, drip, hang, redirect, reply, reset

LOOPBACK = AllowedNets.parse("127.0.0.0/8,::1/128")


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(LOOPBACK)
    yield sender
    await sender.close()


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_receiver(behave: Behaviour) -> AsyncIterator[str]:
    """A receiver that reads the request's head and then does what no HTTP library would."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the sender hung up, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}/"
    finally:
        server.close()


def answering(answer: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


def unused_port() -> int:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        port: int = unbound.getsockname()[1]
        return port


async def test_a_receiver_gets_one_key_cloudevents_and_the_envelope(sender: WebhookSender, receiver: Receiver) -> None:
    sent = webhook(f"{receiver.url}/hook?day=1")
    assert await sender.send(sent, FIRED_AT) == Delivered(200)
    [request] = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", "/hook", {"day": "1"})
    assert dict(request.headers) == {
        "Host": receiver.url.removeprefix("http://"),
        "User-Agent": f"scheduler-domain/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Content-Length": str(len(request.body)),
        "Idempotency-Key": str(sent.occurrence_id),
        "webhook-id": str(sent.occurrence_id),
        "webhook-timestamp": "1795338000",
        "ce-specversion": "1.0",
        "ce-id": str(sent.occurrence_id),
        "ce-source": f"/tenants/acme/schedules/{SCHEDULE}",
        "ce-type": "scheduler.http",
        "ce-time": "2026-11-22T09:00:00Z",
        "traceparent": sent.traceparent,
    }
    assert msgspec.json.decode(request.body) == {
        "tenantId": "acme",
        "scheduleId": str(SCHEDULE),
        "scheduleName": "Daily report",
        "occurrenceId": str(sent.occurrence_id),
        "scheduledFor": "2026-11-22T09:00:00Z",
        "firedAt": FIRED_AT.decode(),
        "attempt": 2,
    }


async def test_places_are_filled_in_the_query_and_in_header_values(sender: WebhookSender, receiver: Receiver) -> None:
    sent = webhook(
        f"{receiver.url}/$metadata?name=${{scheduleName}}&at=${{firedAt}}&price=$$5&static=a%2Fb",
        headers={"X-Name": "${scheduleName}", "X-Local": "${localDate} ${localTime}", "X-At": "${firedAt}"},
        schedule_name="Zoë & Co=?#\r\nX-Evil: 1",
    )
    assert await sender.send(sent, FIRED_AT) == Delivered(200)
    [request] = receiver.requests
    assert request.path == "/$metadata"
    assert request.query == {
        "name": "Zoë & Co=?#\r\nX-Evil: 1",
        "at": FIRED_AT.decode(),
        "price": "$5",
        "static": "a/b",
    }
    assert request.headers["X-Name"] == "Zo%C3%AB & Co=?#%0D%0AX-Evil: 1"
    assert request.headers["X-Local"] == "2026-11-22 10:00:00"
    assert request.headers["X-At"] == FIRED_AT.decode()
    assert "X-Evil" not in request.headers


async def test_a_tenants_headers_are_sent_and_the_platforms_prevail(sender: WebhookSender, receiver: Receiver) -> None:
    sent = webhook(
        receiver.url,
        headers={
            "authorization": "Bearer x",
            "content-type": "text/plain",
            "CE-ID": "forged",
            "accept-encoding": "gzip",
        },
    )
    assert await sender.send(sent, FIRED_AT) == Delivered(200)
    headers = receiver.requests[0].headers
    assert headers["Authorization"] == "Bearer x"
    assert headers.getall("Content-Type") == ["text/plain"]
    assert headers.getall("ce-id") == [str(sent.occurrence_id)]
    assert headers.getall("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "internal"},
        {"Transfer-Encoding": "chunked"},
        {"content-length": "1"},
        {"Proxy-Authorization": "x"},
        {"webhook-signature": "v1,forged"},
        {"X-A": "a\r\nX-B: b"},
        {"X-Name": "Zoë"},
        {"X A": "b"},
    ],
)
async def test_headers_that_frame_route_or_speak_for_us_are_never_sent(
    sender: WebhookSender, receiver: Receiver, headers: dict[str, str]
) -> None:
    assert isinstance(await sender.send(webhook(receiver.url, headers=headers), FIRED_AT), Refused)
    assert receiver.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_but_get_carries_the_body(
    sender: WebhookSender, receiver: Receiver, method: HttpMethod
) -> None:
    await sender.send(webhook(receiver.url, method=method, payload=b'{"a":1}'), FIRED_AT)
    assert (receiver.requests[0].method, receiver.requests[0].body) == (method, b'{"a":1}')


async def test_get_carries_no_body(sender: WebhookSender, receiver: Receiver) -> None:
    assert await sender.send(webhook(receiver.url, method="GET"), FIRED_AT) == Delivered(200)
    assert receiver.requests[0].body == b""


async def test_a_signature_is_over_the_bytes_sent(receiver: Receiver) -> None:
    signed: list[tuple[int, bytes]] = []

    def sign(sent: Delivery, timestamp: int, body: bytes) -> str:
        signed.append((timestamp, body))
        return "v1,abc"

    sender = WebhookSender(LOOPBACK, sign=sign)
    await sender.send(webhook(receiver.url), FIRED_AT)
    await sender.close()
    assert receiver.requests[0].headers["webhook-signature"] == "v1,abc"
    assert signed == [(1795338000, receiver.requests[0].body)]


@pytest.mark.parametrize(
    ("status", "success", "kind"),
    [
        (200, None, Delivered),
        (204, None, Delivered),
        (299, None, Delivered),
        (302, None, Unreachable),
        (304, None, Unreachable),
        (400, None, Unreachable),
        (410, None, Refused),
        (500, None, Unreachable),
        (404, ["2xx", "404"], Delivered),
        (410, ["410"], Delivered),
        (202, ["200"], Unreachable),
        (503, ["5xx"], Delivered),
    ],
)
async def test_the_status_decides(
    sender: WebhookSender, receiver: Receiver, status: int, success: list[str] | None, kind: type
) -> None:
    receiver.always(reply(status))
    outcome = await sender.send(webhook(receiver.url, success=success), FIRED_AT)
    assert type(outcome) is kind
    assert outcome.status_code == status


async def test_gone_ends_the_schedule(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.always(reply(410, body=b"moved away"))
    outcome = await sender.send(webhook(receiver.url), FIRED_AT)
    assert outcome == Refused("the receiver answered 410 Gone", 410, "moved away", disable=True)


async def test_retry_after_is_read_from_a_failure(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.always(reply(503, headers={"Retry-After": "7"}))
    outcome = await sender.send(webhook(receiver.url), FIRED_AT)
    assert outcome == Unreachable("the receiver answered 503", 503, None, timedelta(seconds=7))


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("0", timedelta(0)),
        (" 12 ", timedelta(seconds=12)),
        ("Sun, 22 Nov 2026 09:01:00 GMT", timedelta(minutes=1)),
        ("Sun, 22 Nov 2026 08:00:00 GMT", timedelta(0)),
        ("Sunday, 22-Nov-26 09:01:00 GMT", timedelta(minutes=1)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 09:01:00 GMT", None),
    ],
)
def test_retry_after_knows_seconds_and_dates_and_nothing_else(value: str | None, wait: timedelta | None) -> None:
    assert retry_after_in(value, NINE) == wait


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"", None),
        (b"ok", "ok"),
        (b"line\r\n\x1b[31mred\x00", "line\\r\\n\\x1b[31mred\\x00"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("é".encode() * 600, "é" * 512),
        ("a\u202eb".encode(), "a\\u202eb"),
    ],
)
def test_an_excerpt_is_short_and_safe_to_show(body: bytes, excerpt: str | None) -> None:
    assert excerpt_of(body) == excerpt
    assert len((excerpt_of(body * 5000) or "").encode()) <= LONGEST_EXCERPT


async def test_a_redirect_is_a_failure_and_not_followed(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.next_answers(redirect("http://169.254.169.254/latest/meta-data"), redirect("/elsewhere", 307))
    for status in (302, 307):
        outcome = await sender.send(webhook(receiver.url), FIRED_AT)
        assert outcome == Unreachable(f"the receiver answered {status}", status)
    assert len(receiver.requests) == 2


async def test_a_cookie_is_forgotten(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.always(reply(200, headers={"Set-Cookie": "id=1; Path=/"}))
    for _ in range(2):
        await sender.send(webhook(receiver.url), FIRED_AT)
    assert "Cookie" not in receiver.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(
    sender: WebhookSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await sender.send(webhook(receiver.url), FIRED_AT) == Delivered(200)


async def test_a_connection_is_reused_within_a_tenant_and_not_across(sender: WebhookSender, receiver: Receiver) -> None:
    peers: list[str] = []

    async def note_connections() -> None:
        for tenant in ("a", "a", "b"):
            await sender.send(webhook(receiver.url, tenant=tenant), FIRED_AT)
            port = int(receiver.url.rsplit(":", 1)[1])
            mine = psutil.Process().net_connections("tcp")
            open_now = {entry.laddr.port for entry in mine if entry.raddr and entry.raddr.port == port}
            peers.append(str(len(open_now)))

    await note_connections()
    assert peers == ["1", "1", "2"]


async def test_a_hanging_receiver_costs_the_timeout_and_no_more(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.always(hang())
    began = time.monotonic()
    outcome = await sender.send(webhook(receiver.url, timeout=0.3), FIRED_AT)
    assert outcome == Unreachable("no answer within 0.3 s")
    assert time.monotonic() - began < 1


async def test_a_body_that_drips_changes_nothing_once_the_status_is_in(
    sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.next_answers(drip(b"x" * 1000, every=0.05), drip(b"x" * 1000, every=0.05, status=500))
    began = time.monotonic()
    first = await sender.send(webhook(receiver.url, timeout=0.3), FIRED_AT)
    second = await sender.send(webhook(receiver.url, timeout=0.3), FIRED_AT)
    assert time.monotonic() - began < 2
    assert isinstance(first, Delivered)
    assert isinstance(second, Unreachable)
    assert second.status_code == 500
    assert (first.response_excerpt or "x").strip("x") == ""


async def test_headers_that_drip_are_no_answer(sender: WebhookSender) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        while not reader.at_eof():
            writer.write(b"a")
            await writer.drain()
            await asyncio.wait({asyncio.ensure_future(reader.read(65536))}, timeout=0.02)

    async with raw_receiver(behave) as url:
        assert await sender.send(webhook(url, timeout=0.3), FIRED_AT) == Unreachable("no answer within 0.3 s")


async def test_an_endless_answer_is_cut_off(sender: WebhookSender) -> None:
    sent_bytes = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"z" * 65536)
            await writer.drain()
            sent_bytes += 65536

    async with raw_receiver(behave) as url:
        outcome = await sender.send(webhook(url), FIRED_AT)
    assert outcome == Delivered(200, "z" * LONGEST_EXCERPT)
    assert sent_bytes < 200 * LARGEST_ANSWER


async def test_a_gzip_bomb_is_kept_as_it_came(sender: WebhookSender) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    before = psutil.Process().memory_info().rss
    async with raw_receiver(answering(head + bomb)) as url:
        outcome = await sender.send(webhook(url), FIRED_AT)
    assert isinstance(outcome, Delivered)
    assert psutil.Process().memory_info().rss - before < 32 << 20


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\x00: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(10_000)) + b"\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x05nonsense",
        b"",
    ],
)
async def test_what_is_not_http_is_a_failure_in_words(sender: WebhookSender, answer: bytes) -> None:
    async with raw_receiver(answering(answer)) as url:
        outcome = await sender.send(webhook(url, timeout=2), FIRED_AT)
    assert isinstance(outcome, Unreachable)
    assert outcome.error.endswith(("did not answer in HTTP", "closed the connection without an answer"))


async def test_a_broken_body_changes_nothing_once_the_status_is_in(sender: WebhookSender) -> None:
    async with raw_receiver(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        assert await sender.send(webhook(url), FIRED_AT) == Delivered(200, "half")


async def test_a_reset_is_told_as_one(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.always(reset())
    outcome = await sender.send(webhook(receiver.url), FIRED_AT)
    place = receiver.url.removeprefix("http://")
    assert outcome in (
        Unreachable(f"{place} reset the connection"),
        Unreachable(f"{place} closed the connection without an answer"),
    )


async def test_a_refused_connection_names_the_place(sender: WebhookSender) -> None:
    port = unused_port()
    outcome = await sender.send(webhook(f"http://127.0.0.1:{port}/secret?token=1"), FIRED_AT)
    assert outcome == Unreachable(f"connection refused by 127.0.0.1:{port}")


async def test_another_kind_of_target_is_refused(sender: WebhookSender) -> None:
    sent = msgspec.structs.replace(webhook("http://127.0.0.1/"), target=EventTarget(event_topic="a"))
    assert isinstance(await sender.send(sent, FIRED_AT), Refused)


async def test_a_hundred_hanging_receivers_do_not_delay_a_healthy_one(
    sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.always(hang(), path="/hang")
    hanging = [
        asyncio.create_task(sender.send(webhook(f"{receiver.url}/hang", timeout=1), FIRED_AT)) for _ in range(100)
    ]
    await receiver.wait_for(100, within=5)
    began = time.monotonic()
    assert await sender.send(webhook(receiver.url), FIRED_AT) == Delivered(200)
    assert time.monotonic() - began < 0.5
    assert {outcome.error for outcome in await asyncio.gather(*hanging) if isinstance(outcome, Unreachable)} == {
        "no answer within 1 s"
    }


async def test_who_may_call_back_is_told_where_and_given_the_right_to(receiver: Receiver) -> None:
    key = bytes(32)
    sender = WebhookSender(LOOPBACK, callback_key=key)
    receiver.next_answers(reply(202), reply(202), reply(200))
    expecting = replace(webhook(receiver.url, success=["200"]), expects_callback=True)
    outcomes = [await sender.send(item, FIRED_AT) for item in (expecting, webhook(receiver.url), expecting)]
    await sender.close()
    assert [type(outcome) for outcome in outcomes] == [Accepted, Delivered, Delivered]
    told, untold, _ = receiver.requests
    occurrence = expecting.occurrence_id
    assert told.headers["X-Scheduler-Callback-Url"] == callback_path(occurrence)
    right = right_of(key, told.headers["X-Scheduler-Callback-Token"], occurrence)
    assert right == CallbackRight("acme", SCHEDULE, occurrence, attempt=expecting.attempt)
    assert not [name for name in untold.headers if name.lower().startswith("x-scheduler-")]
