"""Schedules in PostgreSQL: the API's writes and its reads of one schedule. Lists are in schedule_lists.py."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.schedules import (
    Accepted,
    Changed,
    HeldSchedule,
    SchedulesPage,
    SchedulesWanted,
)
from scheduler_domain.domain.backfill import PastInstant
from scheduler_domain.domain.errors import KeyTaken
from scheduler_domain.domain.planning import Cursor, Plan, PlanningRule
from scheduler_domain.domain.schedule import Schedule, ScheduleDefinition
from scheduler_domain.domain.target import target_kind
from scheduler_domain.domain.template import InstanceOrigin
from scheduler_domain.domain.withdrawal import Ending, QueuedOccurrence, Withdrawal
from scheduler_domain.infra.postgres.answers import remember
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.schedule_lists import wanted_schedules
from scheduler_domain.infra.postgres.schedule_rows import schedule_of, stored_definition
from scheduler_domain.infra.postgres.statements import statement

# A row is claimed a few times in its life, once for each attempt or takeover. Each version of a schedule begins above
# what the one before can have reached; what matters is only that tokens differ, so they may begin anew after 2^20.
_TOKENS_PER_VERSION = 1 << 10
_VERSIONS_TOLD_APART = 1 << 20
_KEY_CONSTRAINT = "schedule_tenant_id_key_key"
_decode_rule = msgspec.json.Decoder(PlanningRule).decode


class PostgresSchedules:
    """The port application/ports/schedules.py on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._accept = tenant_statement("accept_schedule")
        self._read = tenant_statement("read_schedule")
        self._read_by_key = tenant_statement("read_schedule_by_key")
        self._count_runs = tenant_statement("count_runs")
        self._pending = tenant_statement("revocation_pending")

    async def add(self, accepted: Accepted, remembered: RememberedAnswer | None) -> None:
        tenant_id = accepted.schedule.tenant_id
        with _key_refused(accepted.schedule.definition.key):
            if remembered is None:
                await self._pool.row(self._accept, tenant_id, *_accepted_columns(accepted))
                return
            async with self._pool.transaction(tenant_id) as connection:
                await remember(connection, tenant_id, remembered)
                await connection.execute(self._accept, tenant_id, *_accepted_columns(accepted))

    async def by_id(self, tenant_id: str, schedule_id: UUID) -> Schedule | None:
        row = await self._pool.row(self._read, tenant_id, schedule_id)
        return None if row is None else schedule_of(tenant_id, row)

    async def by_key(self, tenant_id: str, key: str) -> Schedule | None:
        row = await self._pool.row(self._read_by_key, tenant_id, key)
        return None if row is None else schedule_of(tenant_id, row)

    async def run_count(self, tenant_id: str, schedule_id: UUID) -> int:
        row = await self._pool.row(self._count_runs, tenant_id, schedule_id)
        return 0 if row is None else row["run_count"]

    async def wanted(self, tenant_id: str, wanted: SchedulesWanted) -> SchedulesPage:
        return await wanted_schedules(self._pool, tenant_id, wanted)

    @asynccontextmanager
    async def held(self, tenant_id: str, schedule_id: UUID) -> AsyncIterator[HeldSchedule | None]:
        async with self._pool.transaction(tenant_id) as connection:
            row = await connection.fetchrow(statement("hold_schedule"), tenant_id, schedule_id)
            if row is None:
                yield None
                return
            queued = await connection.fetch(statement("hold_occurrences"), tenant_id, schedule_id, row["revision"])
            rule = _decode_rule(row["rule"])
            fired = await connection.fetchrow(statement("last_occurrence"), tenant_id, schedule_id, rule.is_chained)
            yield _Held(connection, tenant_id, row, rule, queued, fired)

    async def is_obeyed(self, tenant_id: str, schedule_ids: Sequence[UUID]) -> bool:
        return await self._pool.row(self._pending, tenant_id, list(schedule_ids)) is None


class _Held:
    """A schedule under lock, for as long as the transaction of `held` lasts."""

    def __init__(
        self,
        connection: Connection,
        tenant_id: str,
        row: asyncpg.Record,
        rule: PlanningRule,
        queued: Sequence[asyncpg.Record],
        fired: asyncpg.Record | None,
    ) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.now: datetime = row["now"]
        self.paused_at: datetime | None = row["paused_at"]
        self.resume_at: datetime | None = row["resume_at"]
        self.in_force_since: datetime | None = row["in_force_since"]
        self.is_instance: bool = row["is_instance"]
        self.last_ended_at: datetime | None = None if fired is None else fired["planned_ended_at"]
        self.queued = [QueuedOccurrence(*values) for values in queued]
        self.cursor = Cursor(
            tenant_id,
            row["id"],
            row["revision"],
            rule,
            row["created_at"],
            row["next_fire_at"],
            row["checkpoint"],
            row["run_count"],
            row["caught_up_count"],
            row["next_order_ms"],
            row["tzdata"],
            row["repeats_until"],
        )
        self.schedule = schedule_of(
            tenant_id,
            row,
            next_fire_at=first_instant(self.cursor.next_fire_at, self.queued) if row["state"] == "ACTIVE" else None,
            last_fire_at=None if fired is None else fired["last_fire_at"],
        )

    async def fired_since(self, from_: datetime, limit: int) -> list[UUID]:
        rows = await self._connection.fetch(statement("fired_lately"), self._tenant_id, self.schedule.id, from_, limit)
        return [row["id"] for row in rows]

    async def remember_origin(self, origin: InstanceOrigin, was: InstanceOrigin | None) -> bool:
        key = await self._connection.fetchval(
            statement("remember_origin"),
            self._tenant_id,
            self.schedule.id,
            origin.template,
            origin.version,
            origin.parameters,
            None if was is None else was.version,
            None if was is None else was.parameters,
        )
        return key is not None

    async def change(self, changed: Changed, remembered: RememberedAnswer | None) -> None:
        await self.remember(remembered)
        await self._withdraw(changed.withdrawal, changed.reason)
        if changed.schedule.revision != self.schedule.revision:
            await self._carry_over(changed)
        if changed.unchained:
            await self._connection.execute(
                statement("unchain_occurrences"), self._tenant_id, changed.schedule.id, list(changed.unchained)
            )
        with _key_refused(changed.schedule.definition.key):
            await self._connection.execute(statement("change_schedule"), self._tenant_id, *_changed_columns(changed))
        await self._revoke(changed.withdrawal)

    async def delete(self, withdrawal: Withdrawal, reason: str) -> None:
        await self._withdraw(withdrawal, reason)
        await self._connection.execute(
            "DELETE FROM schedule WHERE tenant_id = $1 AND id = $2", self._tenant_id, self.schedule.id
        )
        await self._revoke(withdrawal)

    async def _carry_over(self, changed: Changed) -> None:
        await self._connection.execute(
            statement("carry_over_occurrences"),
            self._tenant_id,
            changed.schedule.id,
            self.schedule.revision,
            changed.schedule.revision,
            self.now,
            list(changed.withdrawal.left),
        )

    async def cancel(
        self, row: QueuedOccurrence, next_due_at: datetime | None, remembered: RememberedAnswer | None
    ) -> None:
        await self.remember(remembered)
        await self._withdraw(Withdrawal(cancelled=[row.id]), Ending.BY_HAND)
        planned = (
            [self._tenant_id],
            [self.schedule.id],
            [row.scheduled_for],
            [self.schedule.revision],
            [row.was_tried],
        )
        if row.is_last:
            await self._connection.execute(statement("complete_after_last"), *planned)
        elif next_due_at is not None:
            await self._connection.execute(statement("chain_schedules"), *planned, [next_due_at])

    async def revoke(self, row: QueuedOccurrence) -> None:
        holders = [] if row.leased_by is None else [row.leased_by]
        await self._revoke_from(holders, row.lease_until, row.id)

    async def backfill(self, wanted: Sequence[PastInstant], waits: Sequence[timedelta]) -> int:
        created: int = await self._connection.fetchval(
            statement("backfill_occurrences"),
            self._tenant_id,
            self.schedule.id,
            [item.id for item in wanted],
            [item.planned_id for item in wanted],
            [item.scheduled_for for item in wanted],
            list(waits),
        )
        return created

    async def remember(self, remembered: RememberedAnswer | None) -> None:
        if remembered is not None:
            await remember(self._connection, self._tenant_id, remembered)

    async def _withdraw(self, withdrawal: Withdrawal, reason: str) -> None:
        if withdrawal.forgotten or withdrawal.cancelled:
            await self._connection.execute(
                statement("withdraw_occurrences"),
                self._tenant_id,
                self.schedule.id,
                list(withdrawal.forgotten),
                list(withdrawal.cancelled),
                reason,
                self.now,
            )

    async def _revoke(self, withdrawal: Withdrawal) -> None:
        if withdrawal.held_until is not None and withdrawal.holders:
            await self._revoke_from(withdrawal.holders, withdrawal.held_until, None)

    async def _revoke_from(self, holders: Sequence[int], held_until: datetime, occurrence_id: UUID | None) -> None:
        await self._connection.execute(
            statement("revoke_occurrences"), self._tenant_id, self.schedule.id, occurrence_id, list(holders), held_until
        )


def first_instant(cursor_at: datetime | None, queued: Sequence[QueuedOccurrence]) -> datetime | None:
    """Return the next instant of the plan: of what is queued and was not tried, and of what is not planned yet."""
    ahead = [row.scheduled_for for row in queued if row.kind == "SCHEDULED" and not row.was_tried]
    return min([*ahead, cursor_at] if cursor_at is not None else ahead, default=None)


class _key_refused:  # noqa: N801 (reads as the statement it is)
    """Turn the unique index on keys into KeyTaken."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name == _KEY_CONSTRAINT:
            raise KeyTaken(
                f"another schedule has the key {self._key}; change that one, or choose another key"
            ) from None


def _accepted_columns(accepted: Accepted) -> tuple[object, ...]:
    schedule, plan = accepted.schedule, accepted.plan
    definition = schedule.definition
    return (
        schedule.id,
        *_definition_columns(definition),
        schedule.state,
        schedule.state_reason,
        schedule.created_at,
        schedule.created_by,
        _rule_text(plan),
        plan.after.next_fire_at,
        plan.after.checkpoint,
        plan.after.run_count,
        *_plan_columns(plan),
        accepted.is_soon,
        plan.after.next_order_ms,
        plan.after.tzdata,
    )


def _changed_columns(changed: Changed) -> tuple[object, ...]:
    schedule, plan = changed.schedule, changed.plan
    return (
        schedule.id,
        *_definition_columns(schedule.definition),
        schedule.state,
        schedule.state_reason,
        changed.resume_at,
        changed.paused_at,
        schedule.revision,
        schedule.version,
        schedule.updated_at,
        _rule_text(plan),
        plan.after.next_fire_at,
        plan.after.checkpoint,
        plan.after.run_count,
        plan.after.caught_up_count,
        schedule.version % _VERSIONS_TOLD_APART * _TOKENS_PER_VERSION,
        *_plan_columns(plan),
        changed.is_soon,
        plan.after.next_order_ms,
        plan.after.tzdata,
        changed.in_force_since,
        changed.repeats_until,
    )


def _definition_columns(definition: ScheduleDefinition) -> tuple[object, ...]:
    return (
        definition.key,
        definition.name,
        msgspec.json.encode(definition.labels).decode(),
        definition.trigger.__struct_config__.tag,
        target_kind(definition.target),
        stored_definition(definition),
    )


def _rule_text(plan: Plan) -> str:
    return msgspec.json.encode(plan.after.rule).decode()


def _plan_columns(plan: Plan) -> tuple[list[object], ...]:
    return (
        [item.id for item in plan.due],
        [item.scheduled_for for item in plan.due],
        [item.due_at for item in plan.due],
        [item.start_tag for item in plan.due],
        [item.is_last for item in plan.due],
        [item.id for item in plan.skipped],
        [item.scheduled_for for item in plan.skipped],
        [item.due_at for item in plan.skipped],
        [item.reason for item in plan.skipped],
    )
