"""Tenants in PostgreSQL, as the platform's operators keep them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.tenants import COUNTED_UP_TO, HeldTenant, TenantsPage, TenantsWanted
from scheduler_domain.domain.errors import KeyTaken
from scheduler_domain.domain.tenant import Tenant
from scheduler_domain.infra.postgres.answers import remember
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.page_cursors import cursor_text, named_place
from scheduler_domain.infra.postgres.pool import TenantPool, platform_statement
from scheduler_domain.infra.postgres.statements import statement

_ORDER = "tenantId"


class PostgresTenants:
    """The port application/ports/tenants.py: Tenants, on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._read = platform_statement("read_tenants")
        self._count = platform_statement("count_tenants")
        self._add = platform_statement("add_tenant")

    async def by_id(self, tenant_id: str) -> Tenant | None:
        rows = await self._pool.platform_rows(self._read, tenant_id, False, 1, 0)
        return _tenant_of(rows[0]) if rows and rows[0]["id"] == tenant_id else None

    async def wanted(self, wanted: TenantsWanted) -> TenantsPage:
        after = "" if wanted.after is None else named_place(wanted.after, _ORDER)
        offset = 0 if wanted.after is not None else (wanted.page - 1) * wanted.page_size
        rows = await self._pool.platform_rows(self._read, after, True, wanted.page_size + 1, offset)
        [counted] = await self._pool.platform_rows(self._count, COUNTED_UP_TO)
        found = [_tenant_of(row) for row in rows[: wanted.page_size]]
        next_cursor = cursor_text(_ORDER, found[-1].id, "") if len(rows) > wanted.page_size else None
        return TenantsPage(found, counted["number"], next_cursor)

    async def add(self, caller_tenant_id: str, tenant: Tenant, remembered: RememberedAnswer | None) -> None:
        async with self._pool.platform_transaction(caller_tenant_id) as connection:
            if remembered is not None:
                await remember(connection, caller_tenant_id, remembered)
            version = await connection.fetchval(self._add, tenant.id, tenant.weight, tenant.created_at)
            if version is None:
                raise KeyTaken(f"the tenant {tenant.id} is stored already; change it with PATCH")

    @asynccontextmanager
    async def held(self, caller_tenant_id: str, tenant_id: str) -> AsyncIterator[HeldTenant | None]:
        async with self._pool.platform_transaction(caller_tenant_id) as connection:
            row = await connection.fetchrow(statement("hold_tenant"), tenant_id)
            yield None if row is None else _Held(connection, _tenant_of(row))


class _Held:
    """A tenant under lock, for as long as the transaction of `held` lasts."""

    def __init__(self, connection: Connection, stored: Tenant) -> None:
        self._connection = connection
        self.stored = stored

    async def weigh(self, weight: float) -> Tenant:
        row = await self._connection.fetchrow(statement("weigh_tenant"), self.stored.id, weight)
        assert row is not None  # the row is locked
        return _tenant_of(row)


def _tenant_of(row: asyncpg.Record) -> Tenant:
    return Tenant(row["id"], row["weight"], row["version"], row["created_at"], row["updated_at"])
