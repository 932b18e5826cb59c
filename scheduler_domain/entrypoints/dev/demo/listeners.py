"""The demo's targets: consumers of both streams, and an HTTP server that says thank you."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats
from aiohttp import web
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from scheduler_domain.entrypoints.dev.demo.delivery import ReceivedDelivery

OnDelivery = Callable[[ReceivedDelivery], None]


@asynccontextmanager
async def listening_to_streams(nats_url: str, tenant: str, on_delivery: OnDelivery) -> AsyncIterator[None]:
    """Report what arrives from now on at any topic of the tenant's events and queues."""

    async def receive(message: Msg) -> None:
        kind, _, rest = message.subject.partition(".")
        topic = rest.partition(".")[2]
        on_delivery(ReceivedDelivery.read(message.headers or {}, message.data, f"{_KINDS[kind]} {topic}"))

    connection = await nats.connect(nats_url)
    try:
        streams = connection.jetstream()
        for kind in _KINDS:
            await streams.subscribe(
                f"{kind}.{tenant}.>",
                cb=receive,
                ordered_consumer=True,
                config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW),
            )
        yield
    finally:
        await connection.close()


_KINDS = {"events": "event", "queues": "queue"}


@asynccontextmanager
async def listening_to_http(on_delivery: OnDelivery) -> AsyncIterator[str]:
    """Answer every request on a free loopback port with 200; yields the address."""

    async def receive(request: web.Request) -> web.Response:
        on_delivery(ReceivedDelivery.read(request.headers, await request.read(), f"{request.method} {request.path}"))
        return web.json_response({"thanks": True})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
