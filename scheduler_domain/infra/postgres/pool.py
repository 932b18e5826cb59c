"""The API's connections: what runs on them sees one tenant, or nothing.

Row-level security compares each row's tenant with a setting that lives as long as a transaction. It is made in two
places only: by `transaction`, whose first statement it is, and by the opening part that each one-statement file
carries, which saves two of three round trips (docs/decisions/0008). Nothing session-level is ever set, so a
connection has nothing to reset when it is given back (connections.py).

The table of tenants is the platform's. A setting of its own opens it, in the same two ways, and opens nothing else.

PostgreSQL away, stuck or unreachable shows as Unavailable within `LONGEST_WAIT + COMMAND_TIMEOUT`; a connection that
did not answer in time is dropped, not reused.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Final, NewType

import asyncpg

from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.postgres.address import PostgresAddress
from scheduler_domain.infra.postgres.connections import Connection, Connections
from scheduler_domain.infra.postgres.refusals import is_outage
from scheduler_domain.infra.postgres.roles import APP
from scheduler_domain.infra.postgres.statements import statement

LONGEST_WAIT: Final = timedelta(seconds=2.5)  # for a free connection, or a new one
COMMAND_TIMEOUT: Final = timedelta(seconds=2.25)  # for a statement, or a whole transaction: 503 within 5 s
CONNECT_TIMEOUT: Final = timedelta(seconds=2)
SIZE: Final = 16
AS_TENANT: Final = "WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)"
AS_PLATFORM: Final = "WITH platform AS MATERIALIZED (SELECT set_config('app.platform', 'on', true) AS setting)"
_SESSION = MappingProxyType(
    {
        "role": APP,
        "search_path": "scheduler",
        "jit": "off",
        # A plan outlives the statistics it was made with: made on an empty queue, it would read all of a full one.
        "enable_seqscan": "off",
        "plan_cache_mode": "force_generic_plan",
        # Four times what a transaction may take: one that is idle for so long is of a process that was stopped, or
        # vanished, and whoever waits for its locks is not to wait for hours.
        "idle_in_transaction_session_timeout": "10s",
        "application_name": "scheduler serve",
    }
)

TenantStatement = NewType("TenantStatement", str)
"""A statement whose first act, before it can read a row, is to say as which tenant it runs ($1)."""

PlatformStatement = NewType("PlatformStatement", str)
"""A statement whose first act is to say that it runs for the platform: of rows it sees those of `tenant`."""


def tenant_statement(name: str) -> TenantStatement:
    """Return sql/<name>.sql; a statement that does not begin as a tenant is a defect and stops the start."""
    return TenantStatement(_beginning_with(AS_TENANT, name))


def platform_statement(name: str) -> PlatformStatement:
    """Return sql/<name>.sql; a statement that does not begin as the platform is a defect and stops the start."""
    return PlatformStatement(_beginning_with(AS_PLATFORM, name))


def _beginning_with(opening: str, name: str) -> str:
    text = statement(name)
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    if not "\n".join(lines).startswith(opening):
        raise ValueError(f"sql/{name}.sql does not begin with {opening}")
    return text


class TenantPool:
    """Runs statements as one tenant each, or as the platform; there is no way to run one as nobody in particular."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._answered_at = 0.0

    async def row(self, text: TenantStatement, tenant_id: str, *arguments: object) -> asyncpg.Record | None:
        async with self._connection() as connection:
            return await connection.fetchrow(text, tenant_id, *arguments)

    async def rows(self, text: TenantStatement, tenant_id: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(text, tenant_id, *arguments)
            return rows

    @asynccontextmanager
    async def transaction(self, tenant_id: str) -> AsyncIterator[Connection]:
        """Run several statements as one tenant, all or nothing, each seeing what was committed before it.

        Out of time, it is left as it is, since the connection is dropped and the transaction with it: a rollback would
        wait, beyond every timeout, until a database that is stuck has confirmed that a statement was cut short.
        """
        async with self._connection() as connection, asyncio.timeout(COMMAND_TIMEOUT.total_seconds()):
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute("SELECT set_config('app.tenant_id', $1, true)", tenant_id)
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def platform_transaction(self, tenant_id: str) -> AsyncIterator[Connection]:
        """As `transaction`, for the platform besides: an operator's own tenant keeps the answer to a repetition."""
        async with self.transaction(tenant_id) as connection:
            await connection.execute("SELECT set_config('app.platform', 'on', true)")
            yield connection

    async def platform_rows(self, text: PlatformStatement, *arguments: object) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(text, *arguments)
            return rows

    async def platform_value(self, text: str, *arguments: object) -> object:
        """Read what belongs to no tenant: the schema's revision, the dispatchers' heartbeats."""
        async with self._connection() as connection:
            value: object = await connection.fetchval(text, *arguments)
            return value

    def counts(self) -> tuple[int, int]:
        """Return how many connections are open and how many of these are idle."""
        return self._connections.open_count, self._connections.idle_count

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._connections.take()
            asked_at = time.monotonic()
            try:
                yield connection
                self._answered_at = time.monotonic()
            except asyncio.CancelledError:
                connection.terminate()  # its answer may still come, and would be the next one's
                raise
            except TimeoutError:
                connection.terminate()
                if self._answered_at < asked_at:  # nobody was answered meanwhile: the server is gone, not slow
                    self._connections.cut_idle()
                raise
            except asyncpg.ReadOnlySQLTransactionError:
                connection.terminate()
                self._connections.cut_idle()  # who takes writes now is found by connecting anew
                raise
            finally:
                self._connections.give_back(connection)
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise Unavailable("the database does not answer; try again shortly") from error
        except asyncpg.PostgresError as error:
            if is_outage(error):
                raise Unavailable("the database is not available; try again shortly") from error
            raise


@asynccontextmanager
async def open_tenant_pool(postgres_url: str, size: int = SIZE) -> AsyncIterator[TenantPool]:
    """Open a pool that connects when it is first asked, so an API starts and answers 503 while PostgreSQL is away."""
    address = PostgresAddress(postgres_url)

    async def connect() -> Connection:
        return await address.connect(
            command_timeout=COMMAND_TIMEOUT.total_seconds(),
            timeout=CONNECT_TIMEOUT.total_seconds(),
            server_settings=dict(_SESSION),
        )

    connections = Connections(connect, size, LONGEST_WAIT)
    try:
        yield TenantPool(connections)
    finally:
        await connections.close()
