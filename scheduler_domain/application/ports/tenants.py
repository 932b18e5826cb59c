"""Tenants as the platform's operators keep them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.domain.tenant import Tenant

COUNTED_UP_TO = 10_000


class TenantsWanted(Struct, frozen=True, kw_only=True):
    """Which tenants, in the order of their ids. `after` is a cursor, and wins over `page`."""

    page: int = 1
    page_size: int = 20
    after: str | None = None


class TenantsPage(Struct, frozen=True):
    """`total` is exact up to COUNTED_UP_TO and stops there."""

    tenants: Sequence[Tenant]
    total: int
    next_cursor: str | None


class HeldTenant(Protocol):
    """A tenant that nobody else changes until the holder is done."""

    @property
    def stored(self) -> Tenant: ...

    async def weigh(self, weight: float) -> Tenant:
        """Store another weight, as the next version."""


class Tenants(Protocol):
    """`caller_tenant_id` names the tenant that the operator's own token speaks for."""

    async def by_id(self, tenant_id: str) -> Tenant | None: ...

    async def wanted(self, wanted: TenantsWanted) -> TenantsPage: ...

    async def add(self, caller_tenant_id: str, tenant: Tenant, remembered: RememberedAnswer | None) -> None:
        """Store a new tenant. Raises KeyTaken and AnswerTaken."""

    def held(self, caller_tenant_id: str, tenant_id: str) -> AbstractAsyncContextManager[HeldTenant | None]:
        """Hold the tenant for the length of the context; leaving it by an exception undoes everything."""
