"""An occurrence: one instant at which a schedule should fire, from planned to ended."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class OccurrenceKind(StrEnum):
    SCHEDULED = "SCHEDULED"
    MANUAL = "MANUAL"
    BACKFILL = "BACKFILL"


class Status(StrEnum):
    """PENDING → PROCESSING → COMPLETED | FAILED; PENDING → SKIPPED | CANCELLED; FAILED → PENDING on replay."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class PlannedOccurrence(Struct, frozen=True, gc=False):
    """A row of the due queue as the planner makes it.

    `due_at` is `scheduled_for` plus jitter, never earlier. `start_tag` is the claim key: equal to `due_at` for a
    tenant alone at its instant, later within a herd, so that tenants take turns (domain/fairness.py).
    """

    tenant_id: str
    schedule_id: UUID
    id: UUID
    kind: OccurrenceKind
    revision: int
    scheduled_for: datetime
    due_at: datetime
    start_tag: datetime
    is_last: bool = False


class SkippedOccurrence(Struct, frozen=True, gc=False):
    """An expected instant that is not delivered, with the reason the ledger keeps."""

    tenant_id: str
    schedule_id: UUID
    id: UUID
    kind: OccurrenceKind
    revision: int
    scheduled_for: datetime
    due_at: datetime
    reason: str


class Attempt(Struct, frozen=True):
    """One try at delivering an occurrence, as the history shows it."""

    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    status_code: int | None = None
    error: str | None = None
    response_excerpt: str | None = None


class Occurrence(Struct, frozen=True, kw_only=True):
    """What the history shows of an occurrence, unfinished or ended."""

    id: UUID
    tenant_id: str
    schedule_id: UUID
    kind: OccurrenceKind
    scheduled_for: datetime
    due_at: datetime
    status: Status
    reason: str | None
    attempts: list[Attempt]
    next_attempt_at: datetime | None
    completed_at: datetime | None
    lateness_ms: int | None
    trace_id: str | None
    revision: int
