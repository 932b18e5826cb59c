"""Templates whose instances are behind, in PostgreSQL: which one is to be seen to is asked across tenants, as the
dispatchers' role; what is done about it is written as its tenant."""

from datetime import timedelta

import asyncpg

from scheduler_domain.application.ports.templates import Replanned, ReplanTurn
from scheduler_domain.infra.postgres.pool import TenantPool
from scheduler_domain.infra.postgres.statements import statement


class PostgresReplanTurns:
    """The port application/ports/templates.py: ReplanTurns, on PostgreSQL."""

    def __init__(self, dispatch_pool: asyncpg.Pool, pool: TenantPool) -> None:
        self._dispatch_pool = dispatch_pool
        self._pool = pool

    async def take(self, length: timedelta) -> ReplanTurn | None:
        row = await self._dispatch_pool.fetchrow(statement("claim_replanning"), length)
        return None if row is None else ReplanTurn(*row)

    async def record(self, turn: ReplanTurn, replanned: Replanned) -> None:
        async with self._pool.transaction(turn.tenant_id) as connection:
            await connection.execute(
                statement("record_replanning"),
                turn.tenant_id,
                turn.template,
                replanned.version,
                turn.after,
                replanned.reached,
                replanned.done_count,
                len(replanned.problems),
                list(replanned.problems.keys()),
                list(replanned.problems.values()),
            )
