"""Who plans ahead. Planning twice is harmless (ids are computed, cursors guarded); leadership only spares the work."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Leadership(Protocol):
    def turn(self) -> AbstractAsyncContextManager[bool]:
        """Enter with True if this process should plan now. A lost or doubled lock costs load and nothing else."""

    async def resign(self) -> None:
        """Let another process lead at once; called on drain."""
