"""Routes of templates. Their instances are in instances.py, and by the million in batch.py."""

from typing import Any

from litestar import Request, delete, get, post, put
from litestar.params import FromPath

from scheduler_domain.application.answer_once import Once
from scheduler_domain.domain.errors import InvalidField
from scheduler_domain.domain.template import StoredTemplate, Template
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer, nothing, sent
from scheduler_domain.entrypoints.http_api.bodies import read_as, read_document, typed
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import once, precondition
from scheduler_domain.entrypoints.http_api.queries import Query, template_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.services import services_of
from scheduler_domain.entrypoints.http_api.templates import descriptions
from scheduler_domain.entrypoints.http_api.templates.payloads import (
    TemplatePreviewRequest,
    UnsavedPreviewRequest,
    template_answer,
    template_preview_json,
    templates_json,
)


@get("/templates", opt=told(descriptions.LIST))
async def list_templates(request: Request[Any, Any, Any]) -> HttpAnswer:
    page, size = Query(request.scope, ("page", "pageSize")).page()
    templates = await services_of(request.scope).use.templates.all_of(caller_of(request.scope))
    return json_answer(templates_json(list(templates), page, size))


@post("/templates", opt=told(descriptions.CREATE))
async def create_template(request: Request[Any, Any, Any]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    template = await read_as(request, caller.tenant_id, Template)
    asked: Once[StoredTemplate] = await once(request, lambda stored: template_answer(stored, 201))
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.templates.create(caller, template, it)))


@get("/templates/{name:str}", opt=told(descriptions.GET))
async def get_template(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    templates = services_of(request.scope).use.templates
    return sent(template_answer(await templates.by_name(caller_of(request.scope), template_in_path(name))))


@put("/templates/{name:str}", opt=told(descriptions.PUT))
async def put_template(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    document = await read_document(request, caller.tenant_id)
    if isinstance(document, dict):
        if document.get("name", name) != name:
            raise InvalidField.at("/name", "other-name", "the name in the body is the one in the path, or is left out")
        document = {**document, "name": name}
    template = typed(document, Template)
    templates = services_of(request.scope).use.templates
    stored, is_new = await templates.put(caller, template, precondition(request.scope))
    return sent(template_answer(stored, 201 if is_new else 200))


# The framework refuses a declared 204 on a handler that returns its response itself.
@delete("/templates/{name:str}", opt=told(descriptions.DELETE), status_code=200)
async def delete_template(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    templates = services_of(request.scope).use.templates
    await templates.delete(caller_of(request.scope), template_in_path(name), precondition(request.scope))
    return nothing()


@post("/templates/{name:str}/preview", opt=told(descriptions.PREVIEW), status_code=200)
async def preview_template(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    known = template_in_path(name)
    asked = await read_as(request, caller.tenant_id, TemplatePreviewRequest)
    templates = services_of(request.scope).use.templates
    return json_answer(template_preview_json(await templates.preview(caller, known, asked.parameters, asked.count)))


@post("/templates/preview", opt=told(descriptions.PREVIEW_UNSAVED), status_code=200)
async def preview_unsaved_template(request: Request[Any, Any, Any]) -> HttpAnswer:
    caller = caller_of(request.scope)
    asked = await read_as(request, caller.tenant_id, UnsavedPreviewRequest)
    templates = services_of(request.scope).use.templates
    return json_answer(template_preview_json(templates.preview_unsaved(asked.template, asked.parameters, asked.count)))
