"""What a dispatcher says of itself over HTTP: alive, ready, and its metrics."""

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from scheduler_domain.bootstrap.telemetry import render_metrics

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def serve_health(host: str, port: int, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve /live, /ready, /health and /metrics; yields the port, any free one where the named one is taken."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok" if is_ready() else "unready"}, status=200 if is_ready() else 503)

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = render_metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    for path in ("/live", "/health", "/health/live"):
        app.router.add_get(path, live)
    for path in ("/ready", "/health/ready"):
        app.router.add_get(path, ready)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        yield await _listen(runner, host, port)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    """Several dispatchers on one host are ordinary: the second takes another port and says so."""
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        site = web.TCPSite(runner, host, 0)
        await site.start()
    addresses = runner.addresses
    _log.info("dispatcher.health", port=addresses[0][1])
    bound: int = addresses[0][1]
    return bound
