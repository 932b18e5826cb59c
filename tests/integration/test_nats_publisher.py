"""The JetStream publisher tells the truth: against a real server that is killed, paused, emptied and refused."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import nats
import pytest
import pytest_asyncio
from nats.js import JetStreamContext

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.outcome import Delivered, Outcome, Refused, Unreachable
from scheduler_domain.domain.target import EventTarget, HttpRequest, HttpTarget, Queue, QueueTarget, Target
from scheduler_domain.infra.embedded.server import EmbeddedServer
from scheduler_domain.infra.embedded.servers import ephemeral_servers
from scheduler_domain.infra.nats.publisher import JetStreamPublisher
from tests.integration.deliveries import FIRED_AT, SCHEDULE, delivery


@pytest.fixture(scope="module")
def one_server() -> Iterator[EmbeddedServer]:
    with ephemeral_servers(postgres=False, valkey=False) as servers:
        yield servers.nats


@pytest.fixture
def server(one_server: EmbeddedServer) -> EmbeddedServer:
    one_server.start()  # a test that failed may have left it down
    return one_server


@pytest_asyncio.fixture
async def publisher(server: EmbeddedServer) -> AsyncIterator[JetStreamPublisher]:
    publisher = JetStreamPublisher(server.url, acknowledgement_seconds=1.0)
    assert await publisher.start()
    yield publisher
    await publisher.stop()


@pytest_asyncio.fixture
async def jetstream(server: EmbeddedServer) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(server.url)
    yield client.jetstream()
    await client.close()


def retried(first: Delivery) -> Delivery:
    return msgspec.structs.replace(first, may_be_known=True)


async def send(publisher: JetStreamPublisher, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    return await publisher.send([publisher.prepare(each) for each in deliveries], FIRED_AT)


async def stored(jetstream: JetStreamContext, stream: str, tenant: str) -> int:
    info = await jetstream.stream_info(stream, subjects_filter=f"{stream.lower()}.{tenant}.>")
    return sum((info.state.subjects or {}).values())


async def test_a_subscriber_receives_cloudevents_headers_and_the_body_with_its_instant(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    sent = delivery(tenant)
    assert await send(publisher, [sent]) == [Delivered()]
    message = await jetstream.get_last_msg("EVENTS", f"events.{tenant}.reports.daily")
    assert message.headers == {
        "Nats-Msg-Id": str(sent.occurrence_id),
        "Nats-Expected-Stream": "EVENTS",
        "ce-specversion": "1.0",
        "ce-id": str(sent.occurrence_id),
        "ce-source": f"/tenants/{tenant}/schedules/{SCHEDULE}",
        "ce-type": "reports.daily",
        "ce-time": "2026-11-22T09:00:00Z",
        "content-type": "application/json",
        "traceparent": sent.traceparent,
    }
    assert message.data is not None
    assert msgspec.json.decode(message.data)["firedAt"] == FIRED_AT.decode()


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b'{"a":"${firedAt} and ${firedAt}"}', b'{"a":"%b and %b"}' % (FIRED_AT, FIRED_AT)),
        ('{"a":"żółć"}'.encode(), '{"a":"żółć"}'.encode()),
        (b"", b""),
    ],
)
async def test_a_batch_stores_any_body_as_it_is(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str, payload: bytes, body: bytes
) -> None:
    assert set(await send(publisher, [delivery(tenant, payload=payload) for _ in range(40)])) == {Delivered()}
    for end in (
        (await jetstream.stream_info("EVENTS")).state.last_seq,
        (await jetstream.stream_info("EVENTS")).state.last_seq - 1,
    ):
        assert ((await jetstream.get_msg("EVENTS", end)).data or b"") == body


async def test_events_and_queues_of_any_number_are_each_stored_once(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    events = [delivery(tenant) for _ in range(2_345)]
    queues = [delivery(tenant, QueueTarget(queue=Queue(topic="mail"))) for _ in range(1_003)]
    outcomes = await send(publisher, [*events[:1_500], *queues, *events[1_500:]])
    assert Counter(outcomes) == {Delivered(): 3_348}
    assert await stored(jetstream, "EVENTS", tenant) == 2_345
    assert await stored(jetstream, "QUEUES", tenant) == 1_003
    message = await jetstream.get_last_msg("QUEUES", f"queues.{tenant}.mail")
    assert (message.headers or {})["ce-type"] == "scheduler.queue"


@pytest.mark.parametrize("count", [1, 15, 16, 17, 999, 1_000, 1_001])
async def test_batch_boundaries_lose_and_double_nothing(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str, count: int
) -> None:
    assert await send(publisher, [delivery(tenant) for _ in range(count)]) == [Delivered()] * count
    assert await stored(jetstream, "EVENTS", tenant) == count


async def test_one_known_message_does_not_keep_its_batch_from_being_stored(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    batch = [delivery(tenant) for _ in range(100)]
    await send(publisher, batch[40:41])
    outcomes = await send(publisher, batch)
    assert [place for place, outcome in enumerate(outcomes) if outcome == Delivered(duplicate=True)] == [40]
    assert Counter(outcomes)[Delivered()] == 99
    assert await stored(jetstream, "EVENTS", tenant) == 100


async def test_retries_are_recognised_each_by_itself(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    batch = [delivery(tenant) for _ in range(60)]
    await send(publisher, batch[:30])
    outcomes = await send(publisher, [retried(each) for each in batch])
    assert outcomes == [Delivered(duplicate=True)] * 30 + [Delivered()] * 30
    assert await stored(jetstream, "EVENTS", tenant) == 60


async def test_a_message_beyond_the_servers_limit_is_refused_alone(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    huge = delivery(tenant, payload=b'"' + b"x" * (1 << 20) + b'"')
    nearly = delivery(tenant, payload=b"x" * ((1 << 20) - 600))
    outcomes = await send(publisher, [*(delivery(tenant) for _ in range(20)), huge, nearly])
    assert isinstance(outcomes[20], Refused)
    assert "max_payload" in outcomes[20].error
    assert Counter(outcomes)[Delivered()] == 21
    assert await stored(jetstream, "EVENTS", tenant) == 21
    assert publisher.is_connected


async def test_large_messages_are_parted_into_batches_by_bytes(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    outcomes = await send(publisher, [delivery(tenant, payload=b"x" * 200_000) for _ in range(50)])
    assert Counter(outcomes) == {Delivered(): 50}
    assert await stored(jetstream, "EVENTS", tenant) == 50


@pytest.mark.parametrize(
    "target",
    [
        *(
            EventTarget(event_topic=topic)
            for topic in (
                "*",
                "a.>",
                "a b",
                "a\r\nPUB x 0\r\n",
                "$JS.API.STREAM.DELETE.EVENTS",
                "_x",
                "",
                "a..b",
                "a\n",
            )
        ),
        QueueTarget(queue=Queue(topic=">")),
        HttpTarget(http=HttpRequest(url="https://example.com/")),
    ],
)
async def test_what_is_not_a_topic_never_reaches_the_wire(
    publisher: JetStreamPublisher, tenant: str, target: Target
) -> None:
    outcomes = await send(publisher, [delivery(tenant, target)])
    assert isinstance(outcomes[0], Refused)
    assert isinstance((await send(publisher, [delivery("a.b")]))[0], Refused)


async def test_nothing_to_send_is_no_error(publisher: JetStreamPublisher) -> None:
    assert await publisher.send([], FIRED_AT) == []


async def test_a_deleted_stream_is_made_again_and_costs_no_attempt(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    await jetstream.delete_stream("EVENTS")
    batch = [delivery(tenant) for _ in range(20)]
    outcomes = await send(publisher, batch)
    assert all(isinstance(outcome, Unreachable) and not outcome.counts for outcome in outcomes)
    assert await delivered_in_the_end(publisher, batch) == 20
    assert await stored(jetstream, "EVENTS", tenant) == 20


async def test_a_full_stream_waits_and_drops_nothing(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    config = (await jetstream.stream_info("EVENTS")).config
    held = (await jetstream.stream_info("EVENTS")).state.messages
    await jetstream.update_stream(replace(config, max_msgs=held + 5))
    batch = [delivery(tenant) for _ in range(20)]
    outcomes = await send(publisher, batch)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unreachable)]
    assert len(refused) == 15
    assert not any(outcome.counts for outcome in refused)
    await jetstream.update_stream(replace(config, max_msgs=-1))
    assert await delivered_in_the_end(publisher, batch) == 20
    assert await stored(jetstream, "EVENTS", tenant) == 20


async def test_a_stream_whose_atomic_batches_are_switched_off_still_takes_all(
    publisher: JetStreamPublisher, jetstream: JetStreamContext, tenant: str
) -> None:
    config = (await jetstream.stream_info("QUEUES")).config
    await jetstream.update_stream(replace(config, allow_atomic=False))
    outcomes = await send(publisher, [delivery(tenant, QueueTarget(queue=Queue(topic="mail"))) for _ in range(50)])
    assert Counter(outcomes) == {Delivered(): 50}


async def test_without_a_server_it_says_so_at_once_and_connects_when_there_is_one(
    server: EmbeddedServer, tenant: str
) -> None:
    server.stop()
    publisher = JetStreamPublisher(server.url)
    try:
        assert not await publisher.start(wait_seconds=0.1)
        began = time.monotonic()
        outcomes = await send(publisher, [delivery(tenant) for _ in range(50)])
        assert time.monotonic() - began < 0.2
        assert set(outcomes) == {Unreachable("NATS is away", counts=False)}
        server.start()
        assert await publisher.connected_within(10)
        assert await send(publisher, [delivery(tenant)]) == [Delivered()]
    finally:
        server.start()
        await publisher.stop()


async def test_a_server_killed_in_mid_publish_loses_and_doubles_nothing(
    publisher: JetStreamPublisher, server: EmbeddedServer, jetstream: JetStreamContext, tenant: str
) -> None:
    batches = [[delivery(tenant) for _ in range(500)] for _ in range(20)]
    sends = [asyncio.create_task(send(publisher, batch)) for batch in batches]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(server.kill)
    outcomes = Counter(outcome for outcomes in await asyncio.gather(*sends) for outcome in outcomes)
    assert outcomes[Delivered()] >= 500
    assert outcomes[Delivered()] < 10_000, "the kill came too late to prove anything"
    await asyncio.to_thread(server.start)
    assert await publisher.connected_within(10)
    assert await delivered_in_the_end(publisher, [each for batch in batches for each in batch]) == 10_000
    assert await stored(jetstream, "EVENTS", tenant) == 10_000


async def test_a_paused_server_costs_one_attempt_and_then_only_waiting(
    publisher: JetStreamPublisher, server: EmbeddedServer, jetstream: JetStreamContext, tenant: str
) -> None:
    server.pause()
    try:
        first = [delivery(tenant) for _ in range(50)]
        assert all(isinstance(each, Unreachable) and each.counts for each in await send(publisher, first))
        later = [[delivery(tenant) for _ in range(50)] for _ in range(3)]
        began = time.monotonic()
        outcomes = await asyncio.gather(*(send(publisher, batch) for batch in later))
        assert time.monotonic() - began < 2
        waiting = [each for batch in outcomes for each in batch if isinstance(each, Unreachable) and not each.counts]
        assert len(waiting) == 100, "one batch felt its way, the others waited"
    finally:
        server.resume()
    everything = [*first, *(each for batch in later for each in batch)]
    assert await delivered_in_the_end(publisher, everything) == 200
    assert await stored(jetstream, "EVENTS", tenant) == 200


async def delivered_in_the_end(publisher: JetStreamPublisher, deliveries: Sequence[Delivery]) -> int:
    """Retry as the dispatcher does, at most for 20 s, and return how many are delivered."""
    open_deliveries = {each.occurrence_id: each for each in deliveries}
    deadline = time.monotonic() + 20
    while open_deliveries and time.monotonic() < deadline:
        await publisher.connected_within(5)
        batch = [retried(each) for each in open_deliveries.values()]
        for each, outcome in zip(batch, await send(publisher, batch), strict=True):
            assert not isinstance(outcome, Refused)
            if isinstance(outcome, Delivered):
                del open_deliveries[each.occurrence_id]
    return len(deliveries) - len(open_deliveries)


def test_a_frame_in_memory_is_small(tenant: str) -> None:
    publisher = JetStreamPublisher("nats://127.0.0.1:1")
    frame: Any = publisher.prepare(delivery(tenant))
    assert sum(map(len, frame.pieces)) + len(frame.batch_line) < 1_000
