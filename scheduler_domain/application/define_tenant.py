"""Define: what the platform's operators decide about tenants. Who may is decided by the role of the route."""

from typing import Final

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import Precondition
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.tenants import Tenants, TenantsPage, TenantsWanted
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.tenant import NewTenant, Tenant, TenantChange, check_tenant_id, is_tenant_id

NO_SUCH_TENANT: Final = "no tenant of this id is stored; it weighs 1 until POST /tenants says otherwise"


class DefineTenants:
    def __init__(self, tenants: Tenants, clock: Clock) -> None:
        self._tenants = tenants
        self._clock = clock

    async def wanted(self, wanted: TenantsWanted) -> TenantsPage:
        """Return one page of the stored tenants, by id."""
        return await self._tenants.wanted(wanted)

    async def by_id(self, tenant_id: str) -> Tenant:
        """Raises NotFound for a tenant that is not stored, though it may have schedules."""
        tenant = await self._tenants.by_id(tenant_id) if is_tenant_id(tenant_id) else None
        if tenant is None:
            raise NotFound(NO_SUCH_TENANT)
        return tenant

    async def create(self, caller: Caller, wanted: NewTenant, once: Once[Tenant]) -> Tenant:
        """Return the stored tenant. Raises InvalidField, KeyTaken and AnswerTaken."""
        check_tenant_id(wanted.id, "/id")
        now = self._clock.now()
        tenant = Tenant(wanted.id, wanted.weight, version=1, created_at=now, updated_at=now)
        await self._tenants.add(caller.tenant_id, tenant, once.remembered(tenant))
        return tenant

    async def change(self, caller: Caller, tenant_id: str, change: TenantChange, precondition: Precondition) -> Tenant:
        """Return the tenant as it is then; one that stays what it was keeps its version.

        Planners go by a new weight within seconds; what is planned already keeps its place. Raises NotFound and
        VersionMismatch.
        """
        if not is_tenant_id(tenant_id):
            raise NotFound(NO_SUCH_TENANT)
        async with self._tenants.held(caller.tenant_id, tenant_id) as held:
            if held is None:
                raise NotFound(NO_SUCH_TENANT)
            precondition.check(held.stored.version)
            weight = change.weight_after(held.stored.weight)
            return held.stored if weight == held.stored.weight else await held.weigh(weight)
