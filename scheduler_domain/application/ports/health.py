"""What a process depends on, asked whether it is there."""

from typing import Protocol

from msgspec import Struct


class Finding(Struct, frozen=True):
    """`is_well` False with a sentence that says what is wrong; never an address or a secret."""

    is_well: bool
    detail: str
    latency_ms: float | None = None


class Dependency(Protocol):
    async def examine(self) -> Finding:
        """Look, within two seconds. Never raises."""
