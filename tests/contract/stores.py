"""Two stores behind one face: PostgreSQL, and the memory that simulations run on.

Both go by the true time, so that a condition that comes with time is waited for alike. What a port does not show of
what is stored is read here, in one form for both.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from msgspec import Struct

from scheduler_domain.domain import lease
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.dispatchers import PostgresDispatchers
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.lines import PostgresLines
from scheduler_domain.infra.postgres.occurrences import PostgresOccurrences
from scheduler_domain.infra.postgres.pool import TenantPool
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from tests.simulation.memory.cursors import MemoryCursors, MemoryZoneMoves
from tests.simulation.memory.dispatchers import Lock, MemoryDispatchers, MemoryLeadership
from tests.simulation.memory.due_queue import MemoryDueQueue
from tests.simulation.memory.lines import MemoryLines
from tests.simulation.memory.schedules import MemorySchedules
from tests.simulation.memory.tables import ScheduleKey, Tables


class Queued(Struct, frozen=True):
    """A row of the queue."""

    revision: int
    start_tag: datetime
    lease_token: int
    is_leased: bool
    attempt_count: int
    was_tried: bool


class Ending(Struct, frozen=True):
    """A row of the ledger."""

    status: str
    reason: str | None
    attempt_count: int


class Store(Protocol):
    """The ports, each made anew, and a look at the tables. Adapters differ in type and not in behaviour."""

    schedules: Any
    occurrences: Any

    def queue(self, number: int, lease_length: timedelta = lease.LENGTH) -> Any: ...
    def cursors(self) -> Any: ...
    def dispatchers(self, clock: DatabaseClock) -> Any: ...
    def leadership(self) -> Any: ...
    def zone_moves(self) -> Any: ...
    def lines(self) -> Any: ...

    async def seen_last(self, at: datetime) -> None: ...
    async def queued(self) -> Mapping[UUID, Queued]: ...
    async def ledger(self) -> Mapping[UUID, Ending]: ...
    async def failed_attempts(self) -> set[tuple[UUID, int]]: ...
    async def state(self, tenant_id: str, schedule_id: UUID) -> tuple[str, str | None]: ...
    async def next_fire_at(self, tenant_id: str, schedule_id: UUID) -> datetime | None: ...


class PostgresStore:
    def __init__(self, connection: asyncpg.Connection, dispatching: asyncpg.Pool, tenants: TenantPool) -> None:
        self._connection = connection
        self._pool = dispatching
        self.schedules = PostgresSchedules(tenants)
        self.occurrences = PostgresOccurrences(tenants)

    def queue(self, number: int, lease_length: timedelta = lease.LENGTH) -> PostgresDueQueue:
        return PostgresDueQueue(self._pool, number, lease_length)

    def cursors(self) -> PostgresCursors:
        return PostgresCursors(self._pool)

    def dispatchers(self, clock: DatabaseClock) -> PostgresDispatchers:
        return PostgresDispatchers(self._pool, clock)

    def leadership(self) -> AbstractAsyncContextManager[bool] | PostgresLeadership:
        return PostgresLeadership(self._pool)

    def zone_moves(self) -> PostgresZoneMoves:
        return PostgresZoneMoves(self._pool, DatabaseClock())

    def lines(self) -> PostgresLines:
        return PostgresLines(self._pool)

    async def seen_last(self, at: datetime) -> None:
        await self._connection.execute("UPDATE scheduler.presence SET seen_at = $1", at)

    async def queued(self) -> Mapping[UUID, Queued]:
        rows = await self._connection.fetch(
            "SELECT id, revision, start_tag, lease_token, lease_until > now(), attempt_count,"
            " first_fired_at IS NOT NULL FROM scheduler.due_queue"
        )
        return {id_: Queued(*rest) for id_, *rest in rows}

    async def ledger(self) -> Mapping[UUID, Ending]:
        rows = await self._connection.fetch("SELECT id, status, reason, attempt_count FROM scheduler.ledger")
        return {id_: Ending(*rest) for id_, *rest in rows}

    async def failed_attempts(self) -> set[tuple[UUID, int]]:
        rows = await self._connection.fetch("SELECT occurrence_id, number FROM scheduler.attempt")
        return {(id_, number) for id_, number in rows}

    async def state(self, tenant_id: str, schedule_id: UUID) -> tuple[str, str | None]:
        row = await self._connection.fetchrow(
            "SELECT state, state_reason FROM scheduler.schedule WHERE tenant_id = $1 AND id = $2",
            tenant_id,
            schedule_id,
        )
        return row["state"], row["state_reason"]

    async def next_fire_at(self, tenant_id: str, schedule_id: UUID) -> datetime | None:
        at: datetime | None = await self._connection.fetchval(
            "SELECT next_fire_at FROM scheduler.schedule_cursor WHERE tenant_id = $1 AND schedule_id = $2",
            tenant_id,
            schedule_id,
        )
        return at


class MemoryStore:
    def __init__(self) -> None:
        self._tables = Tables(lambda: datetime.now(UTC))
        self._lock = Lock()
        self.schedules = self.occurrences = MemorySchedules(self._tables)

    def queue(self, number: int, lease_length: timedelta = lease.LENGTH) -> MemoryDueQueue:
        return MemoryDueQueue(self._tables, number, lease_length)

    def cursors(self) -> MemoryCursors:
        return MemoryCursors(self._tables)

    def dispatchers(self, clock: DatabaseClock) -> MemoryDispatchers:
        return MemoryDispatchers(self._tables, clock)

    def leadership(self) -> MemoryLeadership:
        return MemoryLeadership(self._lock)

    def zone_moves(self) -> MemoryZoneMoves:
        return MemoryZoneMoves(self._tables)

    def lines(self) -> MemoryLines:
        return MemoryLines(self._tables)

    async def seen_last(self, at: datetime) -> None:
        self._tables.seen_at = at

    async def queued(self) -> Mapping[UUID, Queued]:
        now = datetime.now(UTC)
        return {
            row.id: Queued(
                row.revision, row.start_tag, row.lease_token, row.lease_until > now, row.attempt_count, row.was_tried
            )
            for row in self._tables.queue.values()
        }

    async def ledger(self) -> Mapping[UUID, Ending]:
        return {id_: Ending(row.status, row.reason, row.attempt_count) for id_, row in self._tables.ledger.items()}

    async def failed_attempts(self) -> set[tuple[UUID, int]]:
        return set(self._tables.attempts)

    async def state(self, tenant_id: str, schedule_id: UUID) -> tuple[str, str | None]:
        schedule = self._tables.schedules[ScheduleKey(tenant_id, schedule_id)].schedule
        return schedule.state, schedule.state_reason

    async def next_fire_at(self, tenant_id: str, schedule_id: UUID) -> datetime | None:
        return self._tables.cursors[ScheduleKey(tenant_id, schedule_id)].next_fire_at
