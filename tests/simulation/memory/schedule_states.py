"""What becomes of a schedule by no person's change: it goes on as a chain, is completed, or disabled."""

from datetime import datetime

from msgspec.structs import replace

from scheduler_domain.domain.occurrence import OccurrenceKind
from scheduler_domain.domain.schedule import ScheduleState
from tests.simulation.memory.tables import QueuedRow, ScheduleKey, StoredSchedule, Tables


def complete(tables: Tables, key: ScheduleKey, revision: int) -> None:
    """Complete an active schedule, unless it was edited since."""
    stored = tables.schedules.get(key)
    if stored is None or stored.schedule.revision != revision or stored.schedule.state != ScheduleState.ACTIVE:
        return
    tables.schedules[key] = _in_state(tables, stored, ScheduleState.COMPLETED, stored.schedule.state_reason)


def complete_after_last(tables: Tables, ended: QueuedRow) -> None:
    """Complete an active schedule whose last occurrence has ended, unless an edit gave it more to do."""
    if not _is_moved_by(tables, ended):
        return
    is_chained = tables.cursors[ended.key].rule.is_chained
    goes_on = any(
        row.scheduled_for > ended.scheduled_for if row.is_last else is_chained for row in _planned(tables, ended.key)
    )
    if not goes_on:
        stored = tables.schedules[ended.key]
        tables.schedules[ended.key] = _in_state(tables, stored, ScheduleState.COMPLETED, stored.schedule.state_reason)


def chain(tables: Tables, ended: QueuedRow, next_due_at: datetime) -> None:
    """Let an active schedule that runs from completion be due again, unless something else is next already."""
    if not _is_moved_by(tables, ended) or not tables.cursors[ended.key].rule.is_chained:
        return
    if all(row.scheduled_for <= ended.scheduled_for for row in _planned(tables, ended.key)):
        tables.cursors[ended.key] = replace(tables.cursors[ended.key], next_fire_at=next_due_at)


def disable(tables: Tables, key: ScheduleKey, revision: int, reason: str) -> None:
    """Disable a schedule, unless it was edited since, and leave it nothing to plan; one that is keeps its reason."""
    stored = tables.schedules.get(key)
    if stored is None or stored.schedule.revision != revision or stored.schedule.state == ScheduleState.DISABLED:
        return
    disabled = _in_state(tables, stored, ScheduleState.DISABLED, reason)
    tables.schedules[key] = replace(disabled, resume_at=None)
    tables.on_change.disabled(key, tables.cursors[key])
    tables.cursors[key] = replace(tables.cursors[key], next_fire_at=None)


def _is_moved_by(tables: Tables, ended: QueuedRow) -> bool:
    """Tell whether a schedule has nothing else to plan, and no edit has left the row behind that has ended."""
    stored, cursor = tables.schedules.get(ended.key), tables.cursors.get(ended.key)
    if stored is None or cursor is None or cursor.next_fire_at is not None:
        return False
    is_of_plan = ended.was_tried or ended.revision == stored.schedule.revision
    return is_of_plan and stored.schedule.state == ScheduleState.ACTIVE


def _planned(tables: Tables, key: ScheduleKey) -> list[QueuedRow]:
    """Return what is queued of a schedule's plan, without what an edit has left to its holders."""
    revision = tables.schedules[key].schedule.revision
    planned = [row for row in tables.queued_of(key) if row.kind == OccurrenceKind.SCHEDULED]
    return [row for row in planned if row.was_tried or row.revision == revision]


def _in_state(tables: Tables, stored: StoredSchedule, state: ScheduleState, reason: str | None) -> StoredSchedule:
    schedule = stored.schedule
    changed = replace(schedule, state=state, state_reason=reason, version=schedule.version + 1, updated_at=tables.now())
    return replace(stored, schedule=changed)
