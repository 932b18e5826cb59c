"""Templates of tenants in PostgreSQL. Their instances are in template_instances.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.templates import MOST_TEMPLATES, HeldTemplate
from scheduler_domain.domain.errors import Conflict, KeyTaken
from scheduler_domain.domain.template import StoredTemplate, Template, name_taken
from scheduler_domain.infra.postgres.answers import remember
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.template_rows import template_of


class PostgresTemplates:
    """The port application/ports/templates.py: Templates, on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._read = tenant_statement("read_templates")
        self._add = tenant_statement("add_template")

    async def by_name(self, tenant_id: str, name: str) -> StoredTemplate | None:
        row = await self._pool.row(self._read, tenant_id, name, 1)
        return None if row is None else template_of(row)

    async def all_of(self, tenant_id: str) -> list[StoredTemplate]:
        return [template_of(row) for row in await self._pool.rows(self._read, tenant_id, None, MOST_TEMPLATES)]

    async def add(self, tenant_id: str, stored: StoredTemplate, remembered: RememberedAnswer | None) -> None:
        template = stored.template
        document = msgspec.json.encode(template).decode()
        async with self._pool.transaction(tenant_id) as connection:
            if remembered is not None:
                await remember(connection, tenant_id, remembered)
            version = await connection.fetchval(
                self._add, tenant_id, template.name, document, MOST_TEMPLATES, stored.created_at
            )
            if version is None:
                if await connection.fetchrow(self._read, tenant_id, template.name, 1) is None:
                    raise Conflict(f"a tenant has {MOST_TEMPLATES} templates at most; delete one first")
                raise KeyTaken(name_taken(template.name))

    @asynccontextmanager
    async def held(self, tenant_id: str, name: str) -> AsyncIterator[HeldTemplate | None]:
        async with self._pool.transaction(tenant_id) as connection:
            row = await connection.fetchrow(statement("hold_template"), tenant_id, name)
            yield None if row is None else _Held(connection, tenant_id, template_of(row))


class _Held:
    """A template under lock, for as long as the transaction of `held` lasts."""

    def __init__(self, connection: Connection, tenant_id: str, stored: StoredTemplate) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._name = stored.template.name
        self.stored = stored

    async def replace(self, template: Template) -> StoredTemplate:
        document = msgspec.json.encode(template).decode()
        row = await self._connection.fetchrow(statement("replace_template"), self._tenant_id, self._name, document)
        assert row is not None  # the row is locked
        return template_of({**row, "document": document})

    async def instance_count(self) -> int:
        # In a statement of its own, after the lock: it sees every instance that was made before.
        count: int = await self._connection.fetchval(
            "SELECT count(*) FROM template_instance WHERE tenant_id = $1 AND template = $2", self._tenant_id, self._name
        )
        return count

    async def delete(self) -> None:
        await self._connection.execute(
            "DELETE FROM template WHERE tenant_id = $1 AND name = $2", self._tenant_id, self._name
        )
