"""The due queue in PostgreSQL. The lease protocol is described in domain/lease.py; the statements in sql/."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from uuid import UUID

import asyncpg

from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.domain import lease
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.retry import GIVEN_UP_AFTER
from scheduler_domain.infra.postgres.arrays import array_text
from scheduler_domain.infra.postgres.lines import wake_lines
from scheduler_domain.infra.postgres.lock_order import hold_schedules
from scheduler_domain.infra.postgres.refusals import each_written, is_about_a_row
from scheduler_domain.infra.postgres.statements import statement

_Lease = tuple[UUID, int]


class PostgresDueQueue:
    """Leases and records for one dispatcher; every method is one statement, or one short transaction."""

    def __init__(self, pool: asyncpg.Pool, dispatcher_id: int, lease_length: timedelta = lease.LENGTH) -> None:
        self._pool = pool
        self._dispatcher_id = dispatcher_id
        self._lease_length = lease_length

    async def claim(self, limit: int, ahead: timedelta, from_tag: float | None) -> Sequence[Claimed]:
        rows = await self._pool.fetch(
            statement("claim_occurrences"),
            limit,
            ahead,
            self._lease_length,
            self._dispatcher_id,
            -math.inf if from_tag is None else from_tag,
        )
        return sorted([Claimed(*row) for row in rows], key=attrgetter("start_tag"))

    async def overtaken(self, claimed: Sequence[Claimed], until: float) -> set[UUID]:
        rows = await self._pool.fetch(
            statement("overtaken_occurrences"),
            *_leases(claimed)[:3],
            [item.instant for item in claimed],
            datetime.fromtimestamp(until, UTC),
        )
        return {row["id"] for row in rows}

    async def renew(self, claimed: Sequence[Claimed]) -> dict[UUID, str]:
        rows = await self._pool.fetch(statement("renew_leases"), *_leases(claimed), self._lease_length)
        return dict(rows)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        await self._pool.execute(statement("release_leases"), *_leases(claimed))

    async def put_off(self, claimed: Sequence[Claimed], waits: Sequence[timedelta]) -> None:
        await self._pool.execute(statement("put_off_occurrences"), *_leases(claimed), waits)

    async def forget(self, claimed: Sequence[Claimed]) -> None:
        await self._pool.execute(statement("forget_occurrences"), *_leases(claimed))

    async def record_delivered(self, deliveries: Sequence[DeliveredTogether]) -> int:
        asked = [item for delivery in deliveries for item in delivery.claimed]
        try:
            row = await self._pool.fetchrow(statement("record_delivered"), *_delivered_columns(deliveries))
        except asyncpg.PostgresError as error:
            if not is_about_a_row(error):
                raise
            row = {"count": 0, "ids": None}
        count: int = row["count"]
        if count == len(asked):
            return count
        left = [item for delivery in deliveries for item in _ended_apart(delivery, set(row["ids"] or ()))]
        return count + await self.record_ended(left)

    async def record_ended(self, ended: Sequence[Ended]) -> int:
        plain = [item for item in ended if not _moves_schedule(item)]
        moving = [item for item in ended if _moves_schedule(item)]
        ours = await each_written(self._record_plain, plain) if plain else set()
        if moving:
            ours |= await each_written(self._record_moving, moving)
        withdrawn = [item for item in ended if item.status == Status.COMPLETED and _lease_of(item) not in ours]
        if withdrawn:
            await each_written(self._record_withdrawn, withdrawn)
        return len(ours)

    async def record_postponed(self, postponed: Sequence[Postponed]) -> int:
        return len(await each_written(self._record_postponed, postponed))

    async def _record_postponed(self, postponed: Sequence[Postponed]) -> set[UUID]:
        columns = (
            *_leases([item.claimed for item in postponed]),
            [item.attempt_count for item in postponed],
            [item.fired_at for item in postponed],
            [item.duration_ms for item in postponed],
            [item.retry_at for item in postponed],
            [item.error for item in postponed],
            [item.status_code for item in postponed],
            [item.response_excerpt for item in postponed],
            [item.counts for item in postponed],
            [item.awaits for item in postponed],
        )
        return {row["id"] for row in await self._pool.fetch(statement("record_postponed"), *columns)}

    async def _record_plain(self, ended: Sequence[Ended]) -> set[_Lease]:
        return _leases_of(await self._pool.fetch(statement("record_ended"), *_ended_columns(ended)))

    async def _record_withdrawn(self, ended: Sequence[Ended]) -> set[_Lease]:
        await self._pool.execute(statement("record_withdrawn"), *_withdrawn_columns(ended))
        return set()

    async def _record_moving(self, ended: Sequence[Ended]) -> set[_Lease]:
        """Record ends that also move their schedule on; a lost lease moves nothing. Returns the leases that held.

        The schedules are locked first: an edit locks them, then the queue, and the two would wait for each other. A
        pause that was made meanwhile is seen, too, and its chain not moved on.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            ending = [item.claimed for item in ended if _writes_schedule(item)]
            await hold_schedules(connection, [(claimed.tenant_id, claimed.schedule_id) for claimed in ending])
            rows = await connection.fetch(statement("record_ended"), *_ended_columns(ended))
            ours = _leases_of(rows)
            held = [item for item in ended if _lease_of(item) in ours]
            await _move_schedules(connection, held, {row["id"]: row for row in rows})
            await wake_lines(connection, [item.claimed for item in held if item.frees_line])
        return ours


async def _move_schedules(
    connection: asyncpg.pool.PoolConnectionProxy, ended: Sequence[Ended], rows: Mapping[UUID, asyncpg.Record]
) -> None:
    """Move schedules on by what ended, given its rows as they were in the end.

    A chain goes on before anything is completed: where the last of an old plan and the newest occurrence of a chain
    end together, the one would find nothing that the other leads on to.
    """
    disabling = [item for item in ended if item.disabled_revision is not None]
    if disabling:
        revisions = [item.disabled_revision for item in disabling]
        reasons = [item.error or "disabled by its target" for item in disabling]
        await connection.execute(statement("disable_schedules"), *_schedules(disabling), revisions, reasons)
    failing = [item for item in ended if _is_dead_webhook(item)]
    if failing:
        await _give_up(connection, failing)
    chained = [item for item in ended if item.next_due_at is not None and not item.claimed.is_last]
    if chained:
        instants = [item.next_due_at for item in chained]
        await connection.execute(statement("chain_schedules"), *_planned(chained, rows), instants)
    last = [item for item in ended if item.claimed.is_last]
    if last:
        await connection.execute(statement("complete_after_last"), *_planned(last, rows))


async def _give_up(connection: asyncpg.pool.PoolConnectionProxy, failing: Sequence[Ended]) -> None:
    """Disable those of the schedules whose webhooks have all failed for days."""
    revisions = [item.claimed.schedule_revision for item in failing]
    given_up = await connection.fetch(statement("note_failing"), *_schedules(failing), revisions, GIVEN_UP_AFTER)
    if given_up:
        columns = zip(*[tuple(row) for row in given_up], strict=True)
        reason = f"every webhook failed for {GIVEN_UP_AFTER.days} days"
        await connection.execute(statement("disable_schedules"), *columns, [reason] * len(given_up))


def _planned(ended: Sequence[Ended], rows: Mapping[UUID, asyncpg.Record]) -> tuple[Sequence[object], ...]:
    """Return what tells where in the plans of their schedules these stood."""
    return (
        *_schedules(ended),
        [item.claimed.instant for item in ended],
        [rows[item.claimed.id]["revision"] for item in ended],
        [rows[item.claimed.id]["was_tried"] for item in ended],
    )


def _ended_apart(delivery: DeliveredTogether, recorded: set[UUID]) -> list[Ended]:
    return [
        Ended(
            claimed,
            Status.COMPLETED,
            None,
            1,
            delivery.fired_at,
            delivery.ended_at,
            delivery.duration_ms,
            kind,
            delivery.status_code,
            response_excerpt=delivery.response_excerpt,
        )
        for claimed, kind in zip(delivery.claimed, delivery.target_kinds, strict=True)
        if claimed.id not in recorded
    ]


def _moves_schedule(item: Ended) -> bool:
    return _writes_schedule(item) or item.frees_line


def _writes_schedule(item: Ended) -> bool:
    if item.claimed.is_last or item.disabled_revision is not None or item.next_due_at is not None:
        return True
    return _is_dead_webhook(item)


def _is_dead_webhook(item: Ended) -> bool:
    return item.status == Status.FAILED and item.reason == "retries-exhausted" and item.target_kind == "HTTP"


def _leases_of(rows: Sequence[asyncpg.Record]) -> set[_Lease]:
    return {(row["id"], row["lease_token"]) for row in rows}


def _lease_of(item: Ended) -> _Lease:
    return item.claimed.id, item.claimed.lease_token


def _schedules(ended: Sequence[Ended]) -> tuple[list[str], list[UUID]]:
    return [item.claimed.tenant_id for item in ended], [item.claimed.schedule_id for item in ended]


def _leases(claimed: Sequence[Claimed]) -> tuple[list[str], list[UUID], list[UUID], list[int]]:
    return (
        [item.tenant_id for item in claimed],
        [item.schedule_id for item in claimed],
        [item.id for item in claimed],
        [item.lease_token for item in claimed],
    )


def _delivered_columns(deliveries: Sequence[DeliveredTogether]) -> tuple[object, ...]:
    claimed = [item for delivery in deliveries for item in delivery.claimed]
    return (
        '{"' + '","'.join([item.place for item in claimed]) + '"}',
        array_text([item.id for item in claimed]),
        array_text([item.lease_token for item in claimed]),
        array_text([sent for sent, delivery in enumerate(deliveries, start=1) for _ in delivery.claimed]),
        [delivery.fired_at for delivery in deliveries],
        [delivery.ended_at for delivery in deliveries],
        [delivery.duration_ms for delivery in deliveries],
        array_text(_of_rows(deliveries, [delivery.status_code for delivery in deliveries])),
        _of_rows(deliveries, [delivery.response_excerpt for delivery in deliveries]),
    )


def _of_rows(deliveries: Sequence[DeliveredTogether], values: Sequence[object]) -> list[object]:
    """Return each delivery's value once for each of its rows, or nothing where no delivery has one."""
    if all(value is None for value in values):
        return []
    return [value for delivery, value in zip(deliveries, values, strict=True) for _ in delivery.claimed]


def _ended_columns(ended: Sequence[Ended]) -> tuple[Sequence[object], ...]:
    return (
        *_leases([item.claimed for item in ended]),
        [item.status for item in ended],
        [item.reason for item in ended],
        [item.attempt_count for item in ended],
        [item.fired_at for item in ended],
        [item.ended_at for item in ended],
        [item.duration_ms for item in ended],
        [item.status_code for item in ended],
        [item.error for item in ended],
        [item.response_excerpt for item in ended],
    )


def _withdrawn_columns(ended: Sequence[Ended]) -> tuple[Sequence[object], ...]:
    claimed = [item.claimed for item in ended]
    return (
        [item.tenant_id for item in claimed],
        [item.schedule_id for item in claimed],
        [item.id for item in claimed],
        [item.kind for item in claimed],
        [item.revision for item in claimed],
        [item.instant for item in claimed],
        [datetime.fromtimestamp(item.due_at, UTC) for item in claimed],
        [item.attempt_count for item in ended],
        [item.fired_at for item in ended],
        [item.ended_at for item in ended],
        [item.duration_ms for item in ended],
        [item.status_code for item in ended],
        [item.response_excerpt for item in ended],
    )
