"""What the routes of tenants say of themselves; the OpenAPI document is made of it."""

from typing import Final

from scheduler_domain.domain.roles import Role
from scheduler_domain.domain.tenant import NewTenant, TenantChange
from scheduler_domain.entrypoints.http_api.operations import Operation, Reply
from scheduler_domain.entrypoints.http_api.parameters import IDEMPOTENCY_KEY, IF_MATCH, PAGING, TENANT_ID
from scheduler_domain.entrypoints.http_api.tenants.payloads import TenantsView, TenantView

_TENANTS: Final = "Tenants"
_ONE: Final = Reply("The tenant as it stands.", TenantView, headers=("ETag",))
_MADE: Final = Reply("The tenant is stored.", TenantView, headers=("ETag", "Location"))

LIST: Final = Operation(
    tag=_TENANTS,
    summary="List tenants",
    description="The stored ones, by id. `total` is exact up to 10,000. A tenant that was never stored is not among"
    " them, though it may have schedules: it weighs 1.",
    role=Role.PLATFORM_ADMIN,
    parameters=PAGING,
    replies={200: Reply("One page.", TenantsView)},
    problems=("invalid-field",),
)
CREATE: Final = Operation(
    tag=_TENANTS,
    summary="Store a tenant",
    description="Tenants come with their tokens; one is stored to weigh it. Where more is due at one instant than can"
    " be delivered at once, a tenant of weight 3 has three occurrences delivered for one of a neighbour of weight 1."
    " The weight counts for what is planned from seconds later on; what is planned already keeps its place.",
    role=Role.PLATFORM_ADMIN,
    parameters=(IDEMPOTENCY_KEY,),
    body=NewTenant,
    examples={"One that counts threefold": {"id": "acme", "weight": 3}},
    replies={201: _MADE},
    problems=("conflict", "key-taken", "invalid-field", "idempotency-mismatch"),
)
GET: Final = Operation(
    tag=_TENANTS,
    summary="Get a tenant",
    role=Role.PLATFORM_ADMIN,
    parameters=(TENANT_ID,),
    replies={200: _ONE},
    problems=("not-found",),
)
PATCH: Final = Operation(
    tag=_TENANTS,
    summary="Weigh a tenant",
    description="A merge patch: `null` is the default again. One that was never stored is not found here; store it"
    " first.",
    role=Role.PLATFORM_ADMIN,
    parameters=(TENANT_ID, IF_MATCH),
    body=TenantChange,
    body_media_types=("application/merge-patch+json", "application/json"),
    examples={"Half of what others get": {"weight": 0.5}, "As all others": {"weight": None}},
    replies={200: _ONE},
    problems=("not-found", "version-mismatch", "precondition-unreadable", "invalid-field"),
)
