"""Listening goes on through whatever breaks its connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from scheduler_domain.infra.postgres.notifications import listen
from tests.support.waiting import eventually


class Heard:
    def __init__(self) -> None:
        self.due = 0
        self.revoked = 0

    def on_due(self) -> None:
        self.due += 1

    def on_revoked(self) -> None:
        self.revoked += 1


@pytest.fixture
async def heard(database: str) -> AsyncIterator[Heard]:
    made = Heard()
    listening = asyncio.create_task(listen(database, made.on_due, made.on_revoked))
    await eventually(lambda: made.due == made.revoked == 1, within=10)
    yield made
    assert not listening.done()
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


async def test_a_notification_rings_the_bell_it_is_for(connection: asyncpg.Connection, heard: Heard) -> None:
    await connection.execute("SELECT pg_notify('scheduler_due', '')")
    await eventually(lambda: heard.due == 2, within=5)
    await connection.execute("SELECT pg_notify('scheduler_revoked', '1')")
    await eventually(lambda: heard.revoked == 2, within=5)
    assert heard.due == 2


async def test_a_connection_that_was_cut_is_replaced_and_both_bells_rung_for_what_was_missed(
    connection: asyncpg.Connection, heard: Heard
) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await eventually(lambda: heard.due == heard.revoked == 2, within=15)
    await connection.execute("SELECT pg_notify('scheduler_due', '')")
    await eventually(lambda: heard.due == 3, within=5)
