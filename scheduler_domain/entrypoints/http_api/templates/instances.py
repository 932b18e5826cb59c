"""Routes of single instances: upsert, read and delete by the caller's own key."""

from typing import Any

from litestar import Request, delete, get, put
from litestar.params import FromPath

from scheduler_domain.application.ports.templates import InstancesWanted
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer, nothing, sent
from scheduler_domain.entrypoints.http_api.bodies import read_as
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import precondition
from scheduler_domain.entrypoints.http_api.queries import Query, template_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.services import services_of
from scheduler_domain.entrypoints.http_api.templates import descriptions
from scheduler_domain.entrypoints.http_api.templates.payloads import InstanceRequest, instance_answer, instances_json


@get("/templates/{name:str}/instances", opt=told(descriptions.LIST_INSTANCES))
async def list_instances(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    query = Query(request.scope, ("page", "pageSize", "cursor"))
    page, size = query.page()
    apply = services_of(request.scope).use.apply_template
    wanted = InstancesWanted(page=page, page_size=size, after=query.cursor())
    found = await apply.wanted(caller_of(request.scope), template_in_path(name), wanted)
    return json_answer(instances_json(found, page, size))


@get("/templates/{name:str}/instances/{key:str}", opt=told(descriptions.GET_INSTANCE))
async def get_instance(request: Request[Any, Any, Any], name: FromPath[str], key: FromPath[str]) -> HttpAnswer:
    apply = services_of(request.scope).use.apply_template
    return sent(instance_answer(await apply.by_key(caller_of(request.scope), template_in_path(name), key)))


@put("/templates/{name:str}/instances/{key:str}", opt=told(descriptions.PUT_INSTANCE))
async def put_instance(request: Request[Any, Any, Any], name: FromPath[str], key: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    template = template_in_path(name)
    asked = await read_as(request, caller.tenant_id, InstanceRequest)
    apply = services_of(request.scope).use.apply_template
    demanded = precondition(request.scope)
    instance, is_new = await apply.put(caller, template, key, asked.parameters, demanded)
    return sent(instance_answer(instance, 201 if is_new else 200))


# The framework refuses a declared 204 on a handler that returns its response itself.
@delete("/templates/{name:str}/instances/{key:str}", opt=told(descriptions.DELETE_INSTANCE), status_code=200)
async def delete_instance(request: Request[Any, Any, Any], name: FromPath[str], key: FromPath[str]) -> HttpAnswer:
    apply = services_of(request.scope).use.apply_template
    await apply.delete(caller_of(request.scope), template_in_path(name), key, precondition(request.scope))
    return nothing()
