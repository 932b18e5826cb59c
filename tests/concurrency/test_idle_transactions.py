"""Locks of a process that stands still in the middle of a transaction: the server gives them back by itself."""

import asyncpg
import pytest

from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.postgres.dispatch_pool import IDLE_IN_TRANSACTION, open_dispatch_pool
from scheduler_domain.infra.postgres.pool import COMMAND_TIMEOUT, open_tenant_pool
from scheduler_domain.infra.postgres.refusals import is_about_a_row, is_outage
from tests.support.stored import store_schedules
from tests.support.waiting import eventually

TENANT = "acme"
SETTING = "SELECT setting::integer FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"


async def test_each_connection_bounds_how_long_a_transaction_may_stand_still(database: str) -> None:
    async with open_tenant_pool(database, 1) as tenants:
        milliseconds = await tenants.platform_value(SETTING)
        assert milliseconds == 10_000 > COMMAND_TIMEOUT.total_seconds() * 1_000, "no change is cut short by it"
    dispatching = await open_dispatch_pool(database, 1)
    assert await dispatching.fetchval(SETTING) == IDLE_IN_TRANSACTION.total_seconds() * 1_000
    await dispatching.close()


async def test_an_api_that_stood_still_gives_way_and_tells_its_caller_to_try_again(
    connection: asyncpg.Connection, database: str
) -> None:
    [schedule] = await store_schedules(connection, TENANT)
    lock = "SELECT FROM scheduler.schedule WHERE id = $1 FOR UPDATE"

    async def stand_still() -> None:
        async with tenants.transaction(TENANT) as standing:
            await standing.execute("SET LOCAL idle_in_transaction_session_timeout = 100")
            await standing.execute(lock, schedule)
            await connection.execute(lock, schedule)
            await eventually(standing.is_closed, within=2)
            await standing.execute(lock, schedule)

    async with open_tenant_pool(database, 1) as tenants:
        with pytest.raises(Unavailable):
            await stand_still()
        assert await tenants.platform_value("SELECT 1") == 1


def test_what_stood_still_is_tried_again_and_given_up_by_nobody() -> None:
    ended = asyncpg.IdleInTransactionSessionTimeoutError("terminating connection")
    assert is_outage(ended)
    assert not is_about_a_row(ended)
