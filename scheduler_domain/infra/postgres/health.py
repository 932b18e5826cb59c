"""Is PostgreSQL there, is its schema the one that this release knows, and do dispatchers live?"""

import time
from functools import cache

import asyncpg

from scheduler_domain.application.ports.health import Finding
from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.postgres.migrate import head_revision
from scheduler_domain.infra.postgres.pool import TenantPool

_head_revision = cache(head_revision)


class PostgresReachable:
    """PostgreSQL answers."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def examine(self) -> Finding:
        started_at = time.monotonic()
        try:
            await self._pool.platform_value("SELECT 1")
        except (Unavailable, asyncpg.PostgresError) as error:
            return Finding(is_well=False, detail=str(error))
        return Finding(is_well=True, detail="answers", latency_ms=round((time.monotonic() - started_at) * 1000, 3))


class MigrationsApplied:
    """The schema is at least as new as this release: behind, its statements would name what is not there."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def examine(self) -> Finding:
        try:
            revision = await self._pool.platform_value("SELECT version_num FROM alembic_version")
        except (Unavailable, asyncpg.PostgresError):
            return Finding(is_well=False, detail="the schema's revision cannot be read; run `scheduler migrate up`")
        if str(revision) < _head_revision():
            return Finding(
                is_well=False, detail=f"at {revision}, behind {_head_revision()}; run `scheduler migrate up`"
            )
        return Finding(is_well=True, detail=f"at {revision}")


class DispatchersAlive:
    """Somebody delivers: without a dispatcher everything is accepted and nothing fires."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def examine(self) -> Finding:
        try:
            count = await self._pool.platform_value(
                "SELECT count(*) FROM dispatcher WHERE heartbeat_at > now() - interval '15 s'"
            )
        except (Unavailable, asyncpg.PostgresError):
            return Finding(is_well=False, detail="cannot be asked for")
        return Finding(is_well=count != 0, detail=f"{count} alive")
