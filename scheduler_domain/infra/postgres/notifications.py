"""Notifications: a faster way to hear what polling would find a second later. Nothing depends on one arriving."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import structlog

from scheduler_domain.infra.postgres.address import PostgresAddress

DUE, REVOKED = "scheduler_due", "scheduler_revoked"
_RECONNECT_AFTER = timedelta(seconds=1)
_CHECK_EVERY = timedelta(seconds=5)
# The last one: asyncpg tells so that a connection was cut while nothing was asked of it.
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_log = structlog.get_logger(__name__)


async def listen(postgres_url: str, on_due: Callable[[], None], on_revoked: Callable[[], None]) -> None:
    """Listen until cancelled, on a connection of its own; connect anew whenever it is lost."""
    address = PostgresAddress(postgres_url)
    while True:
        try:
            await _listen_once(address, on_due, on_revoked)
        except _AWAY as error:
            _log.warning("notifications.lost", error=repr(error), falls_back_to="polling")
        await asyncio.sleep(_RECONNECT_AFTER.total_seconds())


async def _listen_once(address: PostgresAddress, on_due: Callable[[], None], on_revoked: Callable[[], None]) -> None:
    connection = await address.connect(timeout=5, command_timeout=5)
    try:
        await connection.add_listener(DUE, lambda *_: on_due())
        await connection.add_listener(REVOKED, lambda *_: on_revoked())
        on_due()
        on_revoked()
        while True:
            await asyncio.sleep(_CHECK_EVERY.total_seconds())
            # A connection that was cut silently answers nothing; who only reads is told nothing any more.
            if await connection.fetchval("SHOW transaction_read_only") == "on":
                raise ConnectionError("the server takes no writes any more")
    finally:
        with contextlib.suppress(*_AWAY):
            await connection.close(timeout=1)
