"""What a subscriber of the stream sees: the proof that a herd arrived, and when each message did."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

EVENTS = "EVENTS"
_FETCH = 1_000
_FETCH_TIMEOUT_SEC = 5.0


@asynccontextmanager
async def connected(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url)
    try:
        yield client
    finally:
        await client.close()


async def stored_ids(client: Client, expected: int) -> Counter[str]:
    """Return how often the stream holds each occurrence, by `ce-id`; reads everything that is stored."""
    stream = client.jetstream()
    stored = (await stream.stream_info(EVENTS)).state.messages
    reader = await stream.pull_subscribe("events.>", stream=EVENTS, config=ConsumerConfig(ack_policy=AckPolicy.NONE))
    seen: Counter[str] = Counter()
    while sum(seen.values()) < max(stored, expected):
        try:
            for message in await reader.fetch(_FETCH, timeout=_FETCH_TIMEOUT_SEC):
                seen[(message.headers or {})["ce-id"]] += 1
        except TimeoutError:
            break
    await reader.unsubscribe()
    return seen


class Arrivals:
    """Times each message from the stream against the instant in its `ce-time`; milliseconds, in order of arrival."""

    def __init__(self) -> None:
        self.late_ms: list[tuple[datetime, float]] = []

    async def take(self, message: Msg) -> None:
        arrived = time.time()
        due = datetime.fromisoformat((message.headers or {})["ce-time"])
        self.late_ms.append((due, (arrived - due.timestamp()) * 1000))

    @asynccontextmanager
    async def of_new(self, client: Client) -> AsyncIterator[None]:
        """Take what is stored from now on, as a JetStream consumer pushes it."""
        subscription = await client.jetstream().subscribe(
            "events.>", stream=EVENTS, cb=self.take, ordered_consumer=True, config=_FROM_NOW_ON
        )
        try:
            yield
            await asyncio.sleep(0.2)  # the last ones are still on their way
        finally:
            await subscription.unsubscribe()


_FROM_NOW_ON = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
