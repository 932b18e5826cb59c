"""What a look at a server finds; judged by application/examine_installation.py."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct


class PostgresFacts(Struct, frozen=True):
    """`version` counts as PostgreSQL does (180006 is 18.6); `clock_ahead` is its clock less ours."""

    version: int
    clock_ahead: timedelta
    is_durable: bool
    """Whether a commit that was acknowledged survives a power cut."""
    current_revision: str | None
    head_revision: str


class StreamFacts(Struct, frozen=True):
    name: str
    subjects: tuple[str, ...]
    is_on_file: bool
    is_atomic: bool
    duplicate_window: timedelta


class NatsFacts(Struct, frozen=True):
    """`streams` is None without JetStream; `longest_message` is in bytes."""

    version: tuple[int, ...]
    longest_message: int
    streams: tuple[StreamFacts, ...] | None


class CacheFacts(Struct, frozen=True):
    """Redis, or what speaks its language."""

    name: str
    version: str


class TzdataMove(Struct, frozen=True):
    """An occurrence that an edition of the tz database moved; no `was_at`: it is new; no `is_at`: it is gone.

    `name` is the schedule's, None where the schedule is gone as well.
    """

    tenant_id: str
    schedule_id: UUID
    name: str | None
    version: str
    was_at: datetime | None
    is_at: datetime | None
    moved_at: datetime


class TzdataFacts(Struct, frozen=True):
    """Which edition leads and since when, None before any dispatcher ran; how many schedules are not of it yet."""

    leading: str | None
    since: datetime | None
    behind_count: int
    moves: tuple[TzdataMove, ...]


InspectPostgres = Callable[[], Awaitable[PostgresFacts]]
InspectNats = Callable[[], Awaitable[NatsFacts]]
InspectCache = Callable[[], Awaitable[CacheFacts]]
