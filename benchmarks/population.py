"""Schedules and due occurrences put straight into the tables, as the API and the planner would have left them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.ids import occurrence_id, schedule_id
from scheduler_domain.domain.planning import PlanningRule
from scheduler_domain.domain.schedule import CronTrigger, ScheduleDefinition, Trigger
from scheduler_domain.domain.target import EventTarget, Target
from scheduler_domain.domain.triggers import tzdata_version
from scheduler_domain.infra.postgres.schedule_rows import stored_definition

PAYLOAD = {"customer": "c-000017", "kind": "reminder", "text": "Your appointment is tomorrow at nine."}
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_SCHEDULE = [
    "tenant_id",
    "id",
    "name",
    "trigger_type",
    "target_kind",
    "definition",
    "created_at",
    "updated_at",
    "created_by",
]
_CURSOR = ["tenant_id", "schedule_id", "revision", "rule", "created_at", "next_fire_at", "tzdata"]
_DUE = ["tenant_id", "schedule_id", "id", "revision", "scheduled_for", "due_at", "start_tag"]

Named = tuple[str, UUID]
"""A schedule by tenant and id."""


async def connect(postgres_url: str) -> asyncpg.Connection:
    """Return a superuser's connection to the product's schema."""
    return await asyncpg.connect(postgres_url, server_settings={"search_path": "scheduler"})


def definition(trigger: Trigger, target: Target | None = None, **more: object) -> ScheduleDefinition:
    return ScheduleDefinition(
        name="benchmark",
        trigger=trigger,
        target=target or EventTarget("benchmark.due"),
        payload=PAYLOAD,
        **more,  # type: ignore[arg-type]  # fields of the definition, by name
    )


def yearly() -> CronTrigger:
    """A rule that does not fire by itself while a benchmark runs."""
    return CronTrigger("0 0 1 1 *")


def names(count: int, tenants: int) -> list[Named]:
    """Name `count` schedules, dealt out to the tenants in turn; the ids are the same on every run."""
    return [
        (f"tenant-{number % tenants:04}", schedule_id(CREATED_AT, number.to_bytes(10, "big")))
        for number in range(count)
    ]


async def store(
    connection: asyncpg.Connection,
    named: Sequence[Named],
    definitions: Sequence[ScheduleDefinition],
    next_fire_at: Sequence[datetime | None],
) -> None:
    """Insert schedules with their cursors; a `next_fire_at` of None leaves the planner nothing to do."""
    await connection.copy_records_to_table(
        "schedule",
        columns=_SCHEDULE,
        records=[
            (tenant, id_, "benchmark", _tag(each.trigger), _kind(each.target), text, CREATED_AT, CREATED_AT, "b")
            for (tenant, id_), each, text in zip(named, definitions, map(stored_definition, definitions), strict=True)
        ],
    )
    await connection.copy_records_to_table(
        "schedule_cursor",
        columns=_CURSOR,
        records=[
            (tenant, id_, 1, msgspec.json.encode(PlanningRule.of(each)).decode(), CREATED_AT, first, tzdata_version())
            for (tenant, id_), each, first in zip(named, definitions, next_fire_at, strict=True)
        ],
    )


async def make_due(connection: asyncpg.Connection, named: Sequence[Named], at: datetime) -> None:
    """Insert one occurrence of each schedule, all due at one instant, tagged as the planner would tag them."""
    tags = StartTags()
    nominal, order_ms = at.isoformat(), int(at.timestamp() * 1000)
    await connection.copy_records_to_table(
        "due_queue",
        columns=_DUE,
        records=[
            (tenant, id_, occurrence_id(tenant, id_, "SCHEDULED", nominal, order_ms), 1, at, at, tags.live(tenant, at))
            for tenant, id_ in named
        ],
    )


def _tag(trigger: Trigger) -> str:
    return str(type(trigger).__struct_config__.tag)


def _kind(target: Target) -> str:
    return str(type(target).__struct_config__.tag)
