"""What audits read of PostgreSQL: a schedule's rule with its history, the due queue and the ledger."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from scheduler_domain.domain.audit import Account, Known
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.planning import Cursor, PlanningRule
from scheduler_domain.domain.schedule import ScheduleState
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.statements import statement

_decode_rule = msgspec.json.Decoder(PlanningRule).decode


class PostgresAudits:
    """The port application/ports/audits.py on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._account = tenant_statement("read_account")
        self._known = tenant_statement("known_occurrences")

    async def account(self, tenant_id: str, schedule_id: UUID) -> Account | None:
        row = await self._pool.row(self._account, tenant_id, schedule_id)
        if row is None:
            return None
        rule = _decode_rule(row["rule"])
        return Account(
            Cursor(tenant_id, row["id"], row["revision"], rule, row["created_at"], row["next_fire_at"]),
            ScheduleState(row["state"]),
            row["in_force_since"],
            row["stopped_at"],
            row["last_known_at"],
            row["ledger_begins_at"],
            row["now"],
        )

    async def known(
        self, tenant_id: str, schedule_id: UUID, from_: datetime, to: datetime, most: int
    ) -> Sequence[Known]:
        rows = await self._pool.rows(self._known, tenant_id, schedule_id, from_, to, most)
        return [Known(row["id"], row["scheduled_for"], Status(row["status"])) for row in rows]

    async def existing(self, tenant_id: str, schedule_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
        async with self._pool.transaction(tenant_id) as connection:
            rows = await connection.fetch(
                statement("taken_occurrences"), [tenant_id] * len(ids), [schedule_id] * len(ids), list(ids)
            )
        return {row[0] for row in rows}
