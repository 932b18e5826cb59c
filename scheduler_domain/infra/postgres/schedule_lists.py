"""Lists of schedules: filters and orders as the client likes, composed with SQLAlchemy Core.

The page is found first, on narrow columns; what costs a look-up per schedule (when it last fired) is asked for the
page only. `createdAt` is read from the id, whose first bits are that instant, so the primary key is its index.
"""

from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, UUID

from scheduler_domain.application.ports.schedules import SchedulesPage, SchedulesWanted
from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.schedule import ScheduleState
from scheduler_domain.infra.postgres import composed
from scheduler_domain.infra.postgres.page_cursors import cursor_instant, cursor_place, cursor_text
from scheduler_domain.infra.postgres.pool import TenantPool
from scheduler_domain.infra.postgres.schedule_rows import schedule_of
from scheduler_domain.infra.postgres.statements import statement
from scheduler_domain.infra.postgres.tables import due_queue, schedule, schedule_cursor

_NEVER: Final = "infinity"
_FAR_AWAY: Final[ColumnElement[Any]] = literal_column(f"'{_NEVER}'::timestamptz")
_DISABLED: Final = (ScheduleState.PAUSED, ScheduleState.DISABLED)


async def wanted_schedules(pool: TenantPool, tenant_id: str, wanted: SchedulesWanted) -> SchedulesPage:
    """Return one page and the number of all that match; both are of one moment only as far as they are quick."""
    filters = _filters(tenant_id, wanted)
    async with pool.transaction(tenant_id) as connection:
        counted = await composed.fetch(connection, select(func.count()).select_from(schedule).where(and_(*filters)))
        found = await composed.fetch(connection, _page(tenant_id, wanted, filters))
        is_more = len(found) > wanted.page_size
        found = found[: wanted.page_size]
        rows = await connection.fetch(statement("read_schedules"), tenant_id, [row["id"] for row in found])
    by_id = {row["id"]: schedule_of(tenant_id, row) for row in rows}
    schedules = [by_id[row["id"]] for row in found if row["id"] in by_id]
    next_cursor = _cursor_after(wanted, found[-1]) if is_more else None
    return SchedulesPage(schedules, counted[0][0], next_cursor)


def _page(tenant_id: str, wanted: SchedulesWanted, filters: list[ColumnElement[bool]]) -> Select[Any]:
    place = _place(wanted)
    query = select(schedule.c.id, cast(place, Text).label("place")).where(and_(*filters))
    if wanted.sort == "nextFireAt":
        query = _with_next_instants(query, tenant_id)
    if wanted.after is not None:
        query = query.where(_beyond(wanted, place))
    else:
        query = query.offset((wanted.page - 1) * wanted.page_size)
    orders = [place, schedule.c.id] if wanted.sort != "createdAt" else [schedule.c.id]
    directed = [order.desc() if wanted.is_descending else order.asc() for order in orders]
    return query.order_by(*directed).limit(wanted.page_size + 1)


def _place(wanted: SchedulesWanted) -> ColumnElement[Any]:
    """Return what the list is ordered by; a schedule with no next instant comes after all that have one."""
    match wanted.sort:
        case "name":
            return schedule.c.name
        case "createdAt":
            return schedule.c.id
        case "nextFireAt":
            instants = func.least(schedule_cursor.c.next_fire_at, literal_column("queued.first_at"))
            is_active = schedule.c.state == ScheduleState.ACTIVE.value
            return case((is_active, func.coalesce(instants, _FAR_AWAY)), else_=_FAR_AWAY)


def _with_next_instants(query: Select[Any], tenant_id: str) -> Select[Any]:
    """Join each schedule's cursor and the first of its queued instants, both read once for the whole tenant."""
    queued = (
        select(due_queue.c.schedule_id, func.min(due_queue.c.scheduled_for).label("first_at"))
        .where(due_queue.c.tenant_id == tenant_id)
        .where(due_queue.c.kind == OccurrenceKind.SCHEDULED.value)
        .where(due_queue.c.first_fired_at.is_(None))
        .group_by(due_queue.c.schedule_id)
        .subquery("queued")
    )
    at_schedule = and_(schedule_cursor.c.tenant_id == tenant_id, schedule_cursor.c.schedule_id == schedule.c.id)
    joined = schedule.join(schedule_cursor, at_schedule).outerjoin(queued, queued.c.schedule_id == schedule.c.id)
    return query.select_from(joined)


def _filters(tenant_id: str, wanted: SchedulesWanted) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = [schedule.c.tenant_id == tenant_id]
    if wanted.state is not None:
        filters.append(schedule.c.state == wanted.state.value)
    if wanted.enabled is not None:
        disabled = [state.value for state in _DISABLED]
        filters.append(schedule.c.state.not_in(disabled) if wanted.enabled else schedule.c.state.in_(disabled))
    if wanted.labels:
        filters.append(schedule.c.labels.op("@>")(cast(literal(_json(wanted.labels), Text), JSONB)))
    if wanted.text is not None:
        filters.append(or_(_contains(schedule.c.name, wanted.text), _contains(schedule.c.key, wanted.text)))
    if wanted.trigger is not None:
        filters.append(schedule.c.trigger_type == wanted.trigger)
    if wanted.target_kind is not None:
        filters.append(schedule.c.target_kind == wanted.target_kind)
    return filters


def _beyond(wanted: SchedulesWanted, place: ColumnElement[Any]) -> ColumnElement[bool]:
    assert wanted.after is not None
    value, item_id = cursor_place(wanted.after, _order_name(wanted))
    last_id = literal(item_id, UUID)
    if wanted.sort == "createdAt":
        return schedule.c.id < last_id if wanted.is_descending else schedule.c.id > last_id
    last_place: ColumnElement[Any] = literal(value, Text)
    if wanted.sort == "nextFireAt":
        last_place = (
            _FAR_AWAY if value == _NEVER else literal(cursor_instant(value), schedule_cursor.c.next_fire_at.type)
        )
    here, there = tuple_(place, schedule.c.id), tuple_(last_place, last_id)
    return here < there if wanted.is_descending else here > there


def _cursor_after(wanted: SchedulesWanted, last: asyncpg.Record) -> str:
    return cursor_text(_order_name(wanted), last["place"], str(last["id"]))


def _order_name(wanted: SchedulesWanted) -> str:
    return f"{'-' if wanted.is_descending else ''}{wanted.sort}"


def _contains(place: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return place.icontains(text, autoescape=True)


def _json(labels: object) -> str:
    return msgspec.json.encode(labels).decode()
