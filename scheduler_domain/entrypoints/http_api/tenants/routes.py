"""Routes of tenants, for the operators of the platform alone: what they see here is no tenant's data."""

from typing import Any

from litestar import Request, get, patch, post
from litestar.params import FromPath

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.ports.tenants import TenantsWanted
from scheduler_domain.domain.tenant import NewTenant, Tenant, TenantChange
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer, sent
from scheduler_domain.entrypoints.http_api.bodies import read_as, read_document, typed
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import once, precondition
from scheduler_domain.entrypoints.http_api.queries import Query
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.services import services_of
from scheduler_domain.entrypoints.http_api.tenants import descriptions
from scheduler_domain.entrypoints.http_api.tenants.payloads import tenant_answer, tenants_json


@get("/tenants", opt=told(descriptions.LIST))
async def list_tenants(request: Request[Any, Any, Any]) -> HttpAnswer:
    query = Query(request.scope, ("page", "pageSize", "cursor"))
    page, size = query.page()
    wanted = TenantsWanted(page=page, page_size=size, after=query.cursor())
    found = await services_of(request.scope).use.tenants.wanted(wanted)
    return json_answer(tenants_json(found, page, size))


@post("/tenants", opt=told(descriptions.CREATE))
async def create_tenant(request: Request[Any, Any, Any]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    wanted = await read_as(request, caller.tenant_id, NewTenant)
    asked: Once[Tenant] = await once(request, lambda stored: tenant_answer(stored, 201))
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.tenants.create(caller, wanted, it)))


@get("/tenants/{tenant_id:str}", opt=told(descriptions.GET))
async def get_tenant(request: Request[Any, Any, Any], tenant_id: FromPath[str]) -> HttpAnswer:
    return sent(tenant_answer(await services_of(request.scope).use.tenants.by_id(tenant_id)))


@patch("/tenants/{tenant_id:str}", opt=told(descriptions.PATCH))
async def patch_tenant(request: Request[Any, Any, Any], tenant_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    change = typed(await read_document(request, caller.tenant_id, is_patch=True), TenantChange)
    tenants = services_of(request.scope).use.tenants
    return sent(tenant_answer(await tenants.change(caller, tenant_id, change, precondition(request.scope))))
