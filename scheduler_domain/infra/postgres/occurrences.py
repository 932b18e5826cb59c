"""Occurrences in PostgreSQL: the due queue and the ledger read as one history."""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.occurrences import OccurrencesPage, OccurrencesWanted
from scheduler_domain.domain.errors import Conflict
from scheduler_domain.domain.occurrence import Attempt, Occurrence, OccurrenceKind, Status
from scheduler_domain.infra.postgres.answers import remember
from scheduler_domain.infra.postgres.occurrence_lists import wanted_rows
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement

_decode_attempts = msgspec.json.Decoder(list[Attempt]).decode
_ENDED_BY_AN_ATTEMPT = frozenset({Status.COMPLETED, Status.FAILED})


class PostgresOccurrences:
    """The port application/ports/occurrences.py on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._read = tenant_statement("read_occurrence")
        self._trigger = tenant_statement("trigger_schedule")

    async def by_id(self, tenant_id: str, occurrence_id: UUID) -> Occurrence | None:
        row = await self._pool.row(self._read, tenant_id, occurrence_id)
        return None if row is None else occurrence_of(tenant_id, row)

    async def wanted(self, tenant_id: str, wanted: OccurrencesWanted) -> OccurrencesPage:
        rows, total, next_cursor = await wanted_rows(self._pool, tenant_id, wanted)
        return OccurrencesPage([occurrence_of(tenant_id, row) for row in rows], total, next_cursor)

    async def add_manual(
        self, tenant_id: str, schedule_id: UUID, occurrence_id: UUID, at: datetime, remembered: RememberedAnswer | None
    ) -> bool:
        try:
            if remembered is None:
                row = await self._pool.row(self._trigger, tenant_id, schedule_id, occurrence_id, at)
            else:
                async with self._pool.transaction(tenant_id) as connection:
                    await remember(connection, tenant_id, remembered)
                    row = await connection.fetchrow(self._trigger, tenant_id, schedule_id, occurrence_id, at)
                    if row is None:
                        raise _NotThere
        except asyncpg.UniqueViolationError:
            raise Conflict("the schedule was triggered at this very instant already; ask again") from None
        except _NotThere:
            return False
        return row is not None


class _NotThere(Exception):
    """Undoes the transaction: an answer is not remembered for what did not happen."""


def occurrence_of(tenant_id: str, row: asyncpg.Record) -> Occurrence:
    """Return the occurrence of a row in the shape of read_occurrence.sql."""
    return Occurrence(
        id=row["id"],
        tenant_id=tenant_id,
        schedule_id=row["schedule_id"],
        kind=OccurrenceKind(row["kind"]),
        revision=row["revision"],
        scheduled_for=row["scheduled_for"],
        due_at=row["due_at"],
        status=Status(row["status"]),
        reason=row["reason"],
        attempts=_attempts(row),
        next_attempt_at=row["next_attempt_at"],
        completed_at=row["ended_at"],
        lateness_ms=row["lateness_ms"],
        trace_id=row["id"].hex,
    )


def _attempts(row: asyncpg.Record) -> list[Attempt]:
    """Return the attempts that failed before, then the one that ended the occurrence, which the ledger row holds."""
    attempts = [] if row["attempts"] is None else _decode_attempts(row["attempts"])
    status = Status(row["status"])
    if status in _ENDED_BY_AN_ATTEMPT and row["fired_at"] is not None:
        attempts.append(
            Attempt(
                number=row["attempt_count"],
                started_at=row["fired_at"],
                duration_ms=row["duration_ms"] or 0,
                outcome="DELIVERED" if status == Status.COMPLETED else "FAILED",
                status_code=row["status_code"],
                error=row["error"],
                response_excerpt=row["response_excerpt"],
            )
        )
    return attempts
