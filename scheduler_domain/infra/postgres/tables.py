"""The columns that lists are composed of, for SQLAlchemy Core. Statements that lock or change are files in sql/."""

from sqlalchemy import ColumnElement, DateTime, Integer, SmallInteger, Text, column, literal_column, table
from sqlalchemy.dialects.postgresql import JSONB, UUID

from scheduler_domain.domain.occurrence import Status

_INSTANT = DateTime(timezone=True)

schedule = table(
    "schedule",
    column("tenant_id", Text),
    column("id", UUID),
    column("key", Text),
    column("name", Text),
    column("labels", JSONB),
    column("trigger_type", Text),
    column("target_kind", Text),
    column("definition", Text),
    column("state", Text),
    column("state_reason", Text),
    column("revision", Integer),
    column("version", Integer),
    column("created_at", _INSTANT),
    column("updated_at", _INSTANT),
    column("created_by", Text),
)

schedule_cursor = table(
    "schedule_cursor",
    column("tenant_id", Text),
    column("schedule_id", UUID),
    column("next_fire_at", _INSTANT),
)

due_queue = table(
    "due_queue",
    column("tenant_id", Text),
    column("schedule_id", UUID),
    column("id", UUID),
    column("kind", Text),
    column("revision", Integer),
    column("scheduled_for", _INSTANT),
    column("due_at", _INSTANT),
    column("start_tag", _INSTANT),
    column("lease_until", _INSTANT),
    column("attempt_count", SmallInteger),
    column("first_fired_at", _INSTANT),
    column("awaiting_since", _INSTANT),
)

ledger = table(
    "ledger",
    column("tenant_id", Text),
    column("id", UUID),
    column("schedule_id", UUID),
    column("kind", Text),
    column("revision", Integer),
    column("scheduled_for", _INSTANT),
    column("due_at", _INSTANT),
    column("status", Text),
    column("reason", Text),
    column("attempt_count", SmallInteger),
    column("fired_at", _INSTANT),
    column("ended_at", _INSTANT),
    column("duration_ms", Integer),
    column("lateness_ms", Integer),
    column("status_code", SmallInteger),
    column("error", Text),
    column("response_excerpt", Text),
)

attempt = table(
    "attempt",
    column("tenant_id", Text),
    column("occurrence_id", UUID),
    column("number", SmallInteger),
    column("started_at", _INSTANT),
    column("duration_ms", Integer),
    column("outcome", Text),
    column("status_code", SmallInteger),
    column("error", Text),
    column("response_excerpt", Text),
)


def ended_as(status: Status) -> ColumnElement[bool]:
    """Return the condition on `ledger` that an occurrence ended so.

    Written out, not bound: only so does the planner know that a partial index applies.
    """
    return ledger.c.status == literal_column(f"'{status.value}'")
