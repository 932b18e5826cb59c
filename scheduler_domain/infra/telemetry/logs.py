"""Structured logs on standard error: ours and every library's go through one chain, shaped and redacted alike."""

import logging
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from scheduler_domain.infra.telemetry.redaction import redacted

LogFormat = Literal["json", "console"]

# They tell what we log ourselves, once more and in other words.
_TALKATIVE = ("aiohttp.access", "alembic", "asyncio", "httpcore", "httpx", "nats", "opentelemetry", "uvicorn.access")
_chain: list[Processor] = []
"""One list for ever: a logger keeps the list that it found when it was first used, so a change is made within it."""


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Set up logging for this process; a second call replaces the first. Output goes to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    _chain[:] = [structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    structlog.configure(
        processors=_chain,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                redact,
                *_rendering(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Mask secrets in an event; the last step before it is written, so that nothing gets past it."""
    return {name: redacted(name, value) for name, value in event_dict.items()}


def _rendering(log_format: LogFormat) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(serializer=_json_text)]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _json_text(event_dict: EventDict, **_options: object) -> str:
    return msgspec.json.encode(event_dict, enc_hook=str).decode()
