"""Follow the weights of tenants: read them every few seconds into the memory of whoever plans.

Planning asks for a tenant's weight once an occurrence, which no statement could answer at that rate. So a process that
plans goes by what it read last, and a new weight counts for what is planned after the next reading.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from scheduler_domain.application.ports.tenant_weights import TenantWeights
from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.domain.fairness import Weights

READ_EVERY: Final = timedelta(seconds=5)


class FollowWeights:
    def __init__(self, stored: TenantWeights, weights: Weights) -> None:
        self._stored = stored
        self._weights = weights

    async def step(self) -> None:
        """Read the weights once. What fails leaves them as they were."""
        self._weights.replace(await self._stored.by_tenant())

    async def until_cancelled(self) -> None:
        """Step every few seconds; while the database is away, go by what it said last."""
        while True:
            with suppress(Unavailable):
                await self.step()
            await asyncio.sleep(READ_EVERY.total_seconds())
