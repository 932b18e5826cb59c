"""The weights of tenants, as whoever plans reads them."""

from collections.abc import Mapping
from typing import Protocol


class TenantWeights(Protocol):
    async def by_tenant(self) -> Mapping[str, float]:
        """Return the weight of each tenant that weighs another than 1."""
