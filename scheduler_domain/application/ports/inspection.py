"""What a look at a server finds; judged by application/examine_installation.py."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

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


InspectPostgres = Callable[[], Awaitable[PostgresFacts]]
InspectNats = Callable[[], Awaitable[NatsFacts]]
InspectCache = Callable[[], Awaitable[CacheFacts]]
