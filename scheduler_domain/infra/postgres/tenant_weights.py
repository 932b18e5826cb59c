"""The weights of tenants in PostgreSQL, read a page at a time: whoever reads them promises milliseconds."""

from collections.abc import Awaitable, Callable
from typing import Any

from scheduler_domain.infra.postgres.pool import PlatformStatement, platform_statement

ROWS_PER_PAGE = 1_000


class PostgresTenantWeights:
    """The port application/ports/tenant_weights.py on PostgreSQL; `fetch` runs a statement on either role's pool."""

    def __init__(self, fetch: Callable[[PlatformStatement, str, int], Awaitable[list[Any]]]) -> None:
        self._fetch = fetch
        self._read = platform_statement("read_weights")

    async def by_tenant(self) -> dict[str, float]:
        weights: dict[str, float] = {}
        after = ""
        while True:
            rows = await self._fetch(self._read, after, ROWS_PER_PAGE)
            weights.update(rows)
            if len(rows) < ROWS_PER_PAGE:
                return weights
            after = rows[-1]["id"]
