"""Instances of templates in PostgreSQL: many at once, each batch one statement, or two where rows have to be held."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from scheduler_domain.application.ports.schedules import Accepted
from scheduler_domain.application.ports.templates import (
    COUNTED_UP_TO,
    FoundInstance,
    InstancesPage,
    InstancesWanted,
    NewInstance,
    RevisedInstance,
)
from scheduler_domain.domain.repeats import LONGEST
from scheduler_domain.domain.schedule import ScheduleDefinition
from scheduler_domain.domain.target import target_kind
from scheduler_domain.domain.template import StoredTemplate, TemplateInstance
from scheduler_domain.infra.postgres.page_cursors import cursor_text, named_place
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.schedule_rows import stored_definition
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.template_rows import instance_of

_ORDER = "instanceKey"


class PostgresTemplateInstances:
    """The port application/ports/templates.py: TemplateInstances, on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._find = tenant_statement("find_instances")
        self._accept = tenant_statement("accept_instances")
        self._read = tenant_statement("read_instances")
        self._walk = tenant_statement("walk_instances")
        self._count = tenant_statement("count_instances")

    async def find(self, tenant_id: str, template: str, keys: Sequence[str]) -> dict[str, FoundInstance]:
        rows = await self._pool.rows(self._find, tenant_id, template, list(keys))
        return {key: FoundInstance(schedule_id, version, parameters) for key, schedule_id, version, parameters in rows}

    async def add(self, tenant_id: str, template: StoredTemplate, instances: Sequence[NewInstance]) -> set[str]:
        first = instances[0].accepted.schedule
        rows = await self._pool.rows(
            self._accept,
            tenant_id,
            template.template.name,
            template.version,
            template.is_built_in,
            first.created_at,
            first.created_by,
            *_new_columns(instances),
            *_due_columns([item.accepted for item in instances]),
            any(item.accepted.is_soon for item in instances),
        )
        return {row["key"] for row in rows}

    async def revise(
        self,
        tenant_id: str,
        template: StoredTemplate,
        instances: Sequence[RevisedInstance],
        now: datetime,
        quiet: tuple[datetime, datetime],
    ) -> set[str]:
        async with self._pool.transaction(tenant_id) as connection:
            ids = [item.was.schedule_id for item in instances]
            await connection.execute(statement("hold_instances"), tenant_id, ids)
            rows = await connection.fetch(
                statement("revise_instances"),
                tenant_id,
                template.template.name,
                template.version,
                now,
                *quiet,
                *_revised_columns(instances),
                now + LONGEST,
                [item.was.version for item in instances],
                [item.was.parameters for item in instances],
            )
        return {row["key"] for row in rows}

    async def walk(self, tenant_id: str, template: str, after: str, limit: int) -> dict[str, FoundInstance]:
        rows = await self._pool.rows(self._walk, tenant_id, template, after, limit)
        return {key: FoundInstance(schedule_id, version, parameters) for key, schedule_id, version, parameters in rows}

    async def by_key(self, tenant_id: str, template: str, key: str) -> TemplateInstance | None:
        row = await self._pool.row(self._read, tenant_id, template, key, False, 1, 0)
        return None if row is None or row["key"] != key else instance_of(template, row)

    async def wanted(self, tenant_id: str, template: str, wanted: InstancesWanted) -> InstancesPage:
        after = "" if wanted.after is None else named_place(wanted.after, _ORDER)
        offset = 0 if wanted.after is not None else (wanted.page - 1) * wanted.page_size
        rows = await self._pool.rows(self._read, tenant_id, template, after, True, wanted.page_size + 1, offset)
        counted = await self._pool.row(self._count, tenant_id, template, COUNTED_UP_TO)
        found = [instance_of(template, row) for row in rows[: wanted.page_size]]
        next_cursor = cursor_text(_ORDER, found[-1].origin.key, "") if len(rows) > wanted.page_size else None
        return InstancesPage(found, 0 if counted is None else counted["number"], next_cursor)


def _new_columns(instances: Sequence[NewInstance]) -> tuple[list[object], ...]:
    schedules = [item.accepted.schedule for item in instances]
    cursors = [item.accepted.plan.after for item in instances]
    return (
        [item.origin.key for item in instances],
        [schedule.id for schedule in schedules],
        [item.origin.parameters for item in instances],
        *_definition_columns([schedule.definition for schedule in schedules]),
        [schedule.state for schedule in schedules],
        [item.rule_text for item in instances],
        [cursor.next_fire_at for cursor in cursors],
        [cursor.checkpoint for cursor in cursors],
        [cursor.run_count for cursor in cursors],
        [cursor.next_order_ms for cursor in cursors],
        [cursor.tzdata for cursor in cursors],
    )


def _revised_columns(instances: Sequence[RevisedInstance]) -> tuple[list[object], ...]:
    return (
        [item.origin.key for item in instances],
        [item.was.schedule_id for item in instances],
        [item.origin.parameters for item in instances],
        *_definition_columns([item.definition for item in instances]),
        [item.rule_text for item in instances],
        [item.cursor.next_fire_at for item in instances],
        [item.cursor.next_order_ms for item in instances],
        [item.cursor.tzdata for item in instances],
    )


def _definition_columns(definitions: Sequence[ScheduleDefinition]) -> tuple[list[object], ...]:
    return (
        [definition.name for definition in definitions],
        [msgspec.json.encode(definition.labels).decode() for definition in definitions],
        [definition.trigger.__struct_config__.tag for definition in definitions],
        [target_kind(definition.target) for definition in definitions],
        [stored_definition(definition) for definition in definitions],
    )


def _due_columns(accepted: Sequence[Accepted]) -> tuple[list[object], ...]:
    due = [occurrence for item in accepted for occurrence in item.plan.due]
    ids: list[UUID] = [occurrence.schedule_id for occurrence in due]
    return (
        list(ids),
        [occurrence.id for occurrence in due],
        [occurrence.scheduled_for for occurrence in due],
        [occurrence.due_at for occurrence in due],
        [occurrence.start_tag for occurrence in due],
        [occurrence.is_last for occurrence in due],
    )
