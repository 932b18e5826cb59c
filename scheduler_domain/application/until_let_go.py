"""Waiting until dispatchers have let go of what a change forbids (docs/decisions/0007)."""

import asyncio
from typing import Final

from scheduler_domain.application.ports.schedules import Revocation, Schedules

_FIRST_LOOK: Final = 0.005
_LOOK_EVERY: Final = 0.05


async def until_let_go(schedules: Schedules, revocation: Revocation | None) -> None:
    """Return once no dispatcher can start what was forbidden; at the latest when its lease has run out."""
    wait = _FIRST_LOOK
    while revocation is not None and not await schedules.obeyed(revocation):
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LOOK_EVERY)
