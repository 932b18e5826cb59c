"""The dispatcher's connections.

Queue tables are empty one minute and hold 100,000 rows the next, so their statistics are always wrong. Each hot
statement has one right plan, index lookups from the rows it is given, and these settings leave the planner no other;
`tests/plans` guards them. The batch joins of planning need a hash join, hence a pool of its own.
"""

import logging
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import asyncpg

from scheduler_domain.infra.postgres.address import asyncpg_url
from scheduler_domain.infra.postgres.roles import DISPATCH

COMMAND_TIMEOUT: Final = timedelta(seconds=5)
_SESSION = MappingProxyType(
    {
        "role": DISPATCH,
        "search_path": "scheduler",
        "jit": "off",
        "enable_seqscan": "off",
        "enable_mergejoin": "off",
        "enable_bitmapscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "application_name": "scheduler dispatch",
    }
)


class StatelessConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg ships no types
    """A connection on which nothing session-level is ever set: a release has nothing to reset, a round trip less."""

    def get_reset_query(self) -> str:
        return ""


async def open_dispatch_pool(postgres_url: str, size: int, *, hash_joins: bool = False) -> asyncpg.Pool:
    """Open `size` connections at once, so that the first herd waits for none."""
    logging.getLogger("asyncpg.pool").addFilter(_in_one_line)
    return await asyncpg.create_pool(
        asyncpg_url(postgres_url),
        min_size=size,
        max_size=size,
        connection_class=StatelessConnection,
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
