"""Tenants on the wire."""

from datetime import datetime

import msgspec
from msgspec import Struct

from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.application.ports.tenants import TenantsPage
from scheduler_domain.domain.tenant import Tenant
from scheduler_domain.entrypoints.http_api.answers import versioned
from scheduler_domain.entrypoints.http_api.schedules.payloads import in_utc, whole_or_not

_encode = msgspec.json.Encoder().encode


class TenantView(Struct, frozen=True, rename="camel"):
    """A stored tenant. `weight`: its share, beside its neighbours', of what is due at one instant."""

    id: str
    weight: float
    version: int
    created_at: datetime
    updated_at: datetime


class TenantsView(Struct, frozen=True, rename="camel"):
    items: list[TenantView]
    page: int
    page_size: int
    total: int
    next_cursor: str | None


def tenant_view(tenant: Tenant) -> TenantView:
    return TenantView(
        tenant.id,
        whole_or_not(tenant.weight),
        tenant.version,
        in_utc(tenant.created_at) or tenant.created_at,
        in_utc(tenant.updated_at) or tenant.updated_at,
    )


def tenant_answer(tenant: Tenant, status: int = 200) -> Answer:
    return versioned(_encode(tenant_view(tenant)), tenant.version, f"/tenants/{tenant.id}", status)


def tenants_json(found: TenantsPage, page: int, size: int) -> bytes:
    items = [tenant_view(tenant) for tenant in found.tenants]
    return _encode(TenantsView(items, page, size, found.total, found.next_cursor))
