"""The dispatcher's connections.

Queue tables are empty one minute and hold 100,000 rows the next, so their statistics are always wrong. Each hot
statement has one right plan, index lookups from the rows it is given, and these settings leave the planner no other;
`tests/plans` guards them. The batch joins of planning need a hash join, hence a pool of its own.
"""

import logging
from collections.abc import Coroutine
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import asyncpg

from scheduler_domain.infra.postgres.address import PostgresAddress
from scheduler_domain.infra.postgres.roles import DISPATCH

COMMAND_TIMEOUT: Final = timedelta(seconds=5)
IDLE_IN_TRANSACTION: Final = timedelta(seconds=10)
"""How long a process that was stopped, or vanished without a word, in the middle of a transaction keeps its locks.

Transactions here wait for nothing but the loop between two statements, which takes milliseconds; a turn of planning
may take longer, and says so (leadership.py). Two statements' patience, and as long as a leader in Redis: within the
minute that is planned ahead, and less than a lease, whose loss such a process meets as well.
"""
_SESSION = MappingProxyType(
    {
        "role": DISPATCH,
        "search_path": "scheduler",
        "jit": "off",
        "enable_seqscan": "off",
        "enable_mergejoin": "off",
        "enable_bitmapscan": "off",
        "plan_cache_mode": "force_generic_plan",
        # A statement whose connection we cut must not go on and lease what nobody will hear of.
        "client_connection_check_interval": "1s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION.total_seconds():.0f}s",
        "application_name": "scheduler dispatch",
    }
)


class DispatchConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg ships no types
    """A connection that needs no cleaning up, and no patience.

    Nothing session-level is ever set, so a release has nothing to reset, a round trip less. And where the server gave
    no answer in time, or takes no writes any more, the connection is cut at once: the driver would wait as long again
    for its cancellation to be confirmed, and go on asking a server that is no longer the primary.
    """

    def get_reset_query(self) -> str:
        return ""

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        return await self._or_cut(super().execute(*arguments, **options))

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        return await self._or_cut(super().fetch(*arguments, **options))

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        return await self._or_cut(super().fetchrow(*arguments, **options))

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        return await self._or_cut(super().fetchval(*arguments, **options))

    async def _or_cut(self, running: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await running
        except (TimeoutError, asyncpg.ReadOnlySQLTransactionError):
            self.terminate()
            raise


async def open_dispatch_pool(postgres_url: str, size: int, *, hash_joins: bool = False) -> asyncpg.Pool:
    """Open `size` connections at once, so that the first herd waits for none."""
    logging.getLogger("asyncpg.pool").addFilter(_in_one_line)
    address = PostgresAddress(postgres_url)

    async def connect(_: None, **options: Any) -> asyncpg.Connection:
        return await address.connect(**options)

    return await asyncpg.create_pool(
        connect=connect,
        min_size=size,
        max_size=size,
        connection_class=DispatchConnection,
        timeout=COMMAND_TIMEOUT.total_seconds(),
        command_timeout=COMMAND_TIMEOUT.total_seconds(),
        server_settings={**_SESSION, "enable_hashjoin": "on" if hash_joins else "off"},
        max_inactive_connection_lifetime=0,
    )


def _in_one_line(record: logging.LogRecord) -> bool:
    """Let the pool tell each failure to reconnect without its traceback: an outage is no defect."""
    if record.exc_info is not None:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}", None
        record.exc_info = None
    return True
