"""Changes of a schedule's state that are no person's: completed, disabled."""

from msgspec.structs import replace

from scheduler_domain.domain.schedule import ScheduleState
from tests.simulation.memory.tables import ScheduleKey, StoredSchedule, Tables


def complete(tables: Tables, key: ScheduleKey, revision: int) -> None:
    """Complete an active schedule, unless it was edited since."""
    stored = tables.schedules.get(key)
    if stored is None or stored.schedule.revision != revision or stored.schedule.state != ScheduleState.ACTIVE:
        return
    tables.schedules[key] = _in_state(tables, stored, ScheduleState.COMPLETED, stored.schedule.state_reason)


def disable(tables: Tables, key: ScheduleKey, revision: int, reason: str) -> None:
    """Disable a schedule, unless it was edited since, and leave it nothing to plan; one that is keeps its reason."""
    stored = tables.schedules.get(key)
    if stored is None or stored.schedule.revision != revision or stored.schedule.state == ScheduleState.DISABLED:
        return
    disabled = _in_state(tables, stored, ScheduleState.DISABLED, reason)
    tables.schedules[key] = replace(disabled, resume_at=None)
    tables.on_change.disabled(key, tables.cursors[key])
    tables.cursors[key] = replace(tables.cursors[key], next_fire_at=None)


def _in_state(tables: Tables, stored: StoredSchedule, state: ScheduleState, reason: str | None) -> StoredSchedule:
    schedule = stored.schedule
    changed = replace(schedule, state=state, state_reason=reason, version=schedule.version + 1, updated_at=tables.now())
    return replace(stored, schedule=changed)
