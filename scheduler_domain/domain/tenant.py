"""A tenant as the platform keeps it: what its operators decided about it, never what is the tenant's own.

Tenants come with their tokens: one that nobody ever stored may do everything a stored one may, and weighs 1.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from scheduler_domain.domain.errors import InvalidField
from scheduler_domain.domain.target import TENANT_ID

DEFAULT_WEIGHT: Final = 1.0
Weight = Annotated[float, Meta(ge=0.1, le=100.0)]
TenantId = Annotated[str, Meta(extra_json_schema={"pattern": f"^{TENANT_ID.pattern}$", "examples": ["acme"]})]


class NewTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant to be stored. `weight`: its share, beside its neighbours', of what is due at one instant."""

    id: TenantId
    weight: Weight = DEFAULT_WEIGHT


class TenantChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396) of a stored tenant: what is left out stays, null is the default again."""

    weight: Weight | UnsetType | None = UNSET

    def weight_after(self, before: float) -> float:
        """Return the weight that the change leaves.

        >>> [TenantChange(weight=3.0).weight_after(2.0), TenantChange(weight=None).weight_after(2.0)]
        [3.0, 1.0]
        >>> TenantChange().weight_after(2.0)
        2.0
        """
        if self.weight is UNSET:
            return before
        return DEFAULT_WEIGHT if self.weight is None else self.weight


class Tenant(Struct, frozen=True):
    """A stored tenant; `version` counts its changes."""

    id: str
    weight: float
    version: int
    created_at: datetime
    updated_at: datetime


def is_tenant_id(text: str) -> bool:
    """Return whether a token could speak for a tenant of this id.

    >>> is_tenant_id("acme-2"), is_tenant_id("Acme")
    (True, False)
    """
    return TENANT_ID.fullmatch(text) is not None


def check_tenant_id(tenant_id: str, pointer: str) -> None:
    """Raise InvalidField unless it is the id of a tenant."""
    if not is_tenant_id(tenant_id):
        message = "a tenant's id is 1 to 63 of a-z 0-9 _ - and begins with a letter or digit"
        raise InvalidField.at(pointer, "invalid-id", message)
