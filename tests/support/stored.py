"""Rows put straight into a test's database: schedules and what they have due, without asking an API for them."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from scheduler_domain.domain.ids import occurrence_id, schedule_id
from scheduler_domain.domain.planning import PlanningRule, first_cursor
from scheduler_domain.domain.schedule import CronTrigger, ScheduleDefinition, Trigger
from scheduler_domain.domain.target import EventTarget, Target, target_kind

EVERY_MINUTE = CronTrigger("* * * * *")
TO_AN_EVENT = EventTarget("tests.fired")

FROM_A_NEWER_RELEASE = (
    "UPDATE scheduler.schedule_cursor SET rule = jsonb_set(rule::jsonb, '{trigger}', '{\"type\": \"TIDE\"}')::json"
    " WHERE schedule_id = $1"
)
"""Gives a schedule a trigger that this release does not know."""

Connection = asyncpg.Connection

_NUMBERS = itertools.count()
"""One row for all calls: two of them may fall into one millisecond."""


def definition(trigger: Trigger = EVERY_MINUTE, target: Target = TO_AN_EVENT, **fields: Any) -> ScheduleDefinition:
    return ScheduleDefinition(name="stored", trigger=trigger, target=target, **fields)


async def store_schedules(
    connection: Connection,
    tenant_id: str,
    count: int = 1,
    *,
    of: ScheduleDefinition | None = None,
    planned_from: datetime | None = None,
) -> list[UUID]:
    """Store active schedules; with `planned_from` their cursors stand at the first instant from there."""
    of = of or definition()
    rule = PlanningRule.of(of)
    now = datetime.now(UTC)
    created_at = min(planned_from or now, now)
    ids = [schedule_id(created_at, next(_NUMBERS).to_bytes(10, "big")) for _ in range(count)]
    cursors = [first_cursor(tenant_id, id_, 1, rule, created_at, planned_from or now) for id_ in ids]
    await connection.execute("SET search_path = scheduler")
    await connection.executemany(
        "INSERT INTO schedule (tenant_id, id, name, trigger_type, target_kind, definition, created_at, updated_at,"
        " created_by) VALUES ($1, $2, $3, 'CRON', $4, $5::json, $6, $6, 'tests')",
        [
            (tenant_id, id_, of.name, target_kind(of.target), msgspec.json.encode(of).decode(), created_at)
            for id_ in ids
        ],
    )
    await connection.executemany(
        "INSERT INTO schedule_cursor (tenant_id, schedule_id, revision, rule, created_at, next_fire_at,"
        " next_order_ms, tzdata) VALUES ($1, $2, 1, $3::json, $4, $5, $6, $7)",
        [
            (
                tenant_id,
                cursor.schedule_id,
                _json(rule),
                created_at,
                cursor.next_fire_at if planned_from else None,
                cursor.next_order_ms if planned_from else None,
                cursor.tzdata,
            )
            for cursor in cursors
        ],
    )
    return ids


async def store_due(
    connection: Connection, tenant_id: str, schedules: Sequence[UUID], due_at: datetime, *, is_last: bool = False
) -> list[UUID]:
    """Put one occurrence of each schedule into the due queue; return their ids."""
    nominal = due_at.isoformat()
    ids = [occurrence_id(tenant_id, id_, "SCHEDULED", nominal, int(due_at.timestamp() * 1000)) for id_ in schedules]
    await connection.executemany(
        "INSERT INTO scheduler.due_queue (tenant_id, schedule_id, id, revision, scheduled_for, due_at, start_tag,"
        " is_last) VALUES ($1, $2, $3, 1, $4, $4, $5, $6)",
        [
            (tenant_id, schedule, id_, due_at, due_at + timedelta(microseconds=position), is_last)
            for position, (schedule, id_) in enumerate(zip(schedules, ids, strict=True))
        ],
    )
    return ids


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
