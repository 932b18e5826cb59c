"""Waiting until dispatchers have let go of what a change forbids, but not for ever (docs/decisions/0007)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from scheduler_domain.application.ports.schedules import Schedules
from scheduler_domain.domain.errors import Unavailable

ANSWERED_WITHIN: Final = timedelta(seconds=5)
_FIRST_LOOK: Final = 0.005
_LOOK_EVERY: Final = 0.05


async def until_let_go(schedules: Schedules, tenant_id: str, schedule_ids: Sequence[UUID]) -> None:
    """Return once no dispatcher can start what changes of these schedules forbade, whoever made them.

    At the latest when its lease has run out, which may take longer than anybody waits: within `answered_in_time`.
    """
    wait = _FIRST_LOOK
    while not await schedules.is_obeyed(tenant_id, schedule_ids):
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LOOK_EVERY)


@asynccontextmanager
async def answered_in_time() -> AsyncIterator[None]:
    """Give up after `ANSWERED_WITHIN` with Unavailable. What was changed stays so: a repetition waits for the rest."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN.total_seconds()):
            yield
    except TimeoutError:
        raise Unavailable(
            "a dispatcher has not confirmed yet that it starts nothing any more; repeat the request to hear when it has"
        ) from None
