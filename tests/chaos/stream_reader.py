"""What JetStream holds when a run is over: every message of every stream, with the instant it was stored."""

from typing import Final

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from tests.chaos.history import Delivery
from tests.chaos.receiver import decode_envelope

_STREAMS: Final = {"EVENTS": ("events.>", "EVENT"), "QUEUES": ("queues.>", "QUEUE")}
_FETCH = 1_000
_FETCH_TIMEOUT = 10.0


async def stored_deliveries(nats_url: str) -> list[Delivery]:
    client = await nats.connect(nats_url)
    try:
        context = client.jetstream()
        return [
            _delivery(message, target)
            for stream, (subjects, target) in _STREAMS.items()
            for message in await _stored(context, stream, subjects)
        ]
    finally:
        await client.close()


async def _stored(context: JetStreamContext, stream: str, subjects: str) -> list[Msg]:
    count = (await context.stream_info(stream)).state.messages
    reader = await context.pull_subscribe(subjects, stream=stream, config=ConsumerConfig(ack_policy=AckPolicy.NONE))
    messages: list[Msg] = []
    while len(messages) < count:
        messages += await reader.fetch(min(_FETCH, count - len(messages)), timeout=_FETCH_TIMEOUT)
    await reader.unsubscribe()
    return messages


def _delivery(message: Msg, target: str) -> Delivery:
    envelope = decode_envelope(message.data)
    return Delivery(
        key=(message.headers or {})["Nats-Msg-Id"],
        schedule_id=envelope.schedule_id,
        scheduled_for=envelope.scheduled_for.timestamp(),
        fired_at=envelope.fired_at.timestamp(),
        arrived_at=message.metadata.timestamp.timestamp(),
        target=target,
    )
