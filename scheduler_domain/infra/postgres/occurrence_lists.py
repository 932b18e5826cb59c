"""Lists of occurrences: the due queue and the ledger merged, newest first by (scheduled_for, id).

Each side is cut to the page before the two are merged. A status lives on one side only, and spares the other.

Of the ledger, a page after a cursor reads its own rows and the rest of the instants that they share (the index has no
ids), however long the history is: there is an index in this order for a tenant, for a schedule, and for each status of
a tenant but COMPLETED. Four things read more. Where few were COMPLETED, these are looked for among all; so is a status
of one schedule, among all of that schedule or of that status; a page by number reads what it steps over; and the queue,
which has no such index, gives all rows of the tenant or the schedule.
What bounds them is time: page and count together have `pool.COMMAND_TIMEOUT`, then the answer is 503.
"""

from typing import Any, Final

import asyncpg
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    SmallInteger,
    Text,
    and_,
    case,
    cast,
    extract,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import UUID, aggregate_order_by
from sqlalchemy.sql.expression import FromClause, TableClause

from scheduler_domain.application.ports.occurrences import COUNTED_UP_TO, OccurrencesWanted
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.infra.postgres import composed
from scheduler_domain.infra.postgres.page_cursors import cursor_instant, cursor_place, cursor_text
from scheduler_domain.infra.postgres.pool import TenantPool
from scheduler_domain.infra.postgres.tables import attempt, due_queue, ended_as, ledger

_ORDER: Final = "scheduledFor"
_UNFINISHED: Final = frozenset({Status.PENDING, Status.PROCESSING})
_INSTANT: Final = ledger.c.scheduled_for.type
_ATTEMPT_MEMBERS: Final = (
    "number", "started_at", "duration_ms", "outcome", "status_code", "error", "response_excerpt"
)  # fmt: skip


async def wanted_rows(
    pool: TenantPool, tenant_id: str, wanted: OccurrencesWanted
) -> tuple[list[asyncpg.Record], int, str | None]:
    """Return the rows of a page in the shape of read_occurrence.sql, the count of all up to a bound, and a cursor."""
    async with pool.transaction(tenant_id) as connection:
        counted = await composed.fetch(connection, _count(tenant_id, wanted))
        rows = await composed.fetch(connection, _page(tenant_id, wanted))
    page = rows[: wanted.page_size]
    is_more = len(rows) > wanted.page_size
    next_cursor = cursor_text(_ORDER, page[-1]["scheduled_for"].isoformat(), str(page[-1]["id"])) if is_more else None
    return page, counted[0][0], next_cursor


def _page(tenant_id: str, wanted: OccurrencesWanted) -> Select[Any]:
    skipped = 0 if wanted.after is not None else (wanted.page - 1) * wanted.page_size
    sides = [side.where(_beyond(side, wanted.after)) for side in _sides(tenant_id, wanted)]
    merged = union_all(*[_newest(side, skipped + wanted.page_size + 1) for side in sides]).subquery("merged")
    newest_first = (merged.c.scheduled_for.desc(), merged.c.id.desc())
    page = select(merged).order_by(*newest_first).offset(skipped).limit(wanted.page_size + 1).subquery("page")
    return select(page, _attempts(page, tenant_id)).order_by(page.c.scheduled_for.desc(), page.c.id.desc())


def _count(tenant_id: str, wanted: OccurrencesWanted) -> Select[Any]:
    ids = [select(side.limit(COUNTED_UP_TO).subquery().c.id) for side in _sides(tenant_id, wanted)]
    counted = union_all(*ids).limit(COUNTED_UP_TO).subquery()
    return select(func.count()).select_from(counted)


def _newest(side: Select[Any], most: int) -> Select[Any]:
    at, identity = _order_columns(side)
    return select(side.order_by(at.desc(), identity.desc()).limit(most).subquery())


def _beyond(side: Select[Any], after: str | None) -> ColumnElement[bool]:
    if after is None:
        return literal_column("true")
    value, item_id = cursor_place(after, _ORDER)
    return tuple_(*_order_columns(side)) < tuple_(literal(cursor_instant(value), _INSTANT), literal(item_id, UUID))


def _order_columns(side: Select[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return side.selected_columns.scheduled_for, side.selected_columns.id


def _sides(tenant_id: str, wanted: OccurrencesWanted) -> list[Select[Any]]:
    sides = []
    if wanted.status is None or wanted.status in _UNFINISHED:
        sides.append(_queued(wanted.status).where(*_filters(due_queue, tenant_id, wanted)))
    if wanted.status is None or wanted.status not in _UNFINISHED:
        sides.append(_ended(wanted.status).where(*_filters(ledger, tenant_id, wanted)))
    return sides


def _filters(side: TableClause, tenant_id: str, wanted: OccurrencesWanted) -> list[ColumnElement[bool]]:
    filters = [side.c.tenant_id == tenant_id]
    if wanted.schedule_id is not None:
        filters.append(side.c.schedule_id == wanted.schedule_id)
    if wanted.from_ is not None:
        filters.append(side.c.scheduled_for >= wanted.from_)
    if wanted.to is not None:
        filters.append(side.c.scheduled_for < wanted.to)
    return filters


def _queued(status: Status | None) -> Select[Any]:
    row = due_queue.c
    # A row is being processed while it is leased and its instant, or its next attempt's, has come, or while it awaits
    # its callback.
    is_sent = and_(row.lease_until > func.now(), func.greatest(row.due_at, row.start_tag) <= func.now())
    is_under_way = or_(row.awaiting_since.is_not(None), is_sent)
    query = select(
        row.id,
        row.schedule_id,
        row.kind,
        row.revision,
        row.scheduled_for,
        row.due_at,
        case((is_under_way, Status.PROCESSING.value), else_=Status.PENDING.value).label("status"),
        cast(null(), Text).label("reason"),
        row.attempt_count,
        row.first_fired_at.label("fired_at"),
        cast(null(), _INSTANT).label("ended_at"),
        cast(null(), Integer).label("duration_ms"),
        cast(extract("epoch", row.first_fired_at - row.due_at) * 1000, BigInteger).label("lateness_ms"),
        cast(null(), SmallInteger).label("status_code"),
        cast(null(), Text).label("error"),
        cast(null(), Text).label("response_excerpt"),
        case((is_under_way, null()), (row.first_fired_at.is_(None), row.due_at), else_=row.start_tag).label(
            "next_attempt_at"
        ),
    )
    if status is None:
        return query
    return query.where(is_under_way if status == Status.PROCESSING else ~is_under_way)


def _ended(status: Status | None) -> Select[Any]:
    names = ("id", "schedule_id", "kind", "revision", "scheduled_for", "due_at", "status", "reason", "attempt_count")
    outcome = ("fired_at", "ended_at", "duration_ms", "lateness_ms", "status_code", "error", "response_excerpt")
    columns = [ledger.c[name] for name in (*names, *outcome)]
    query = select(*columns, cast(null(), _INSTANT).label("next_attempt_at"))
    return query if status is None else query.where(ended_as(status))


def _attempts(page: FromClause, tenant_id: str) -> ColumnElement[Any]:
    """Return the attempts before the last as JSON, in order, or NULL."""
    members = [part for name in _ATTEMPT_MEMBERS for part in (literal_column(f"'{name}'"), attempt.c[name])]
    listed = func.json_agg(aggregate_order_by(func.json_build_object(*members), attempt.c.number))
    of_occurrence = and_(attempt.c.tenant_id == tenant_id, attempt.c.occurrence_id == page.c.id)
    return select(listed).where(of_occurrence).scalar_subquery().label("attempts")
