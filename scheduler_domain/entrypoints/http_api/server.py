"""The API as a process: uvicorn on uvloop, told by signals, drained before it ends."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn

from scheduler_domain.domain.errors import ConfigurationError
from scheduler_domain.entrypoints.http_api.app import create_app
from scheduler_domain.entrypoints.http_api.unreadable import ProblemProtocol
from scheduler_domain.settings import HttpSettings, Settings

_DRAIN_SECONDS: Final = 25
_KEEP_ALIVE_SECONDS: Final = 75  # longer than the idle time of common load balancers, so that these close first
_BACKLOG: Final = 2048
_log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let requests under way finish. ConfigurationError if it cannot start."""
    settings.check_serving()
    listening = _listen(settings.http)
    config = uvicorn.Config(
        create_app(settings),
        loop="uvloop",
        http=ProblemProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever may set X-Forwarded-For could choose the address that refused tokens count for
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=_BACKLOG,
    )
    server = _Server(config)
    host, port = listening.getsockname()[:2]
    _log.info("http_api.listening", url=f"http://{'[' + host + ']' if ':' in host else host}:{port}")
    server.run(sockets=[listening])
    if not server.started:
        raise ConfigurationError("the API could not start; the log says why")


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it was asked to end: uvicorn would raise the signal again after draining."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _end(self, number: signal.Signals) -> None:
        _log.info("http_api.draining", signal=number.name)
        self.handle_exit(number, None)


def _listen(http: HttpSettings) -> socket.socket:
    """Bind before anything else is started, so that a port in use is one line and not a trace."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((http.host, http.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"HOST={http.host} PORT={http.port}: cannot listen there ({error.strerror}); "
            "choose a free port with PORT, or stop what uses it"
        ) from None
    listening.set_inheritable(True)
    return listening
