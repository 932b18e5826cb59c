"""Routes that make, read, change and remove schedules. What they run when told to is in actions.py."""

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post, put
from litestar.params import FromPath

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import Edit
from scheduler_domain.application.ports.schedules import SchedulesWanted, SortField
from scheduler_domain.domain.errors import InvalidField, InvalidRequest
from scheduler_domain.domain.merge_patch import merge_schedule
from scheduler_domain.domain.roles import Role
from scheduler_domain.domain.schedule import ScheduleDefinition, ScheduleState
from scheduler_domain.domain.validation import key_problems, label_problems, refuse
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer, nothing, sent
from scheduler_domain.entrypoints.http_api.authentication import demand
from scheduler_domain.entrypoints.http_api.bodies import read_as, read_document, typed
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import once, precondition
from scheduler_domain.entrypoints.http_api.queries import Query, id_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of, traceparent
from scheduler_domain.entrypoints.http_api.schedules import descriptions
from scheduler_domain.entrypoints.http_api.schedules.payloads import created_answer, schedule_answer, schedules_json
from scheduler_domain.entrypoints.http_api.services import services_of

_TRIGGERS = {name: name for name in ("CRON", "RRULE", "FIXED_DELAY", "ONE_SHOT")}
_SORT_FIELDS: tuple[SortField, ...] = ("nextFireAt", "name", "createdAt")
_SORTS = {f"{sign}{name}": (name, bool(sign)) for name in _SORT_FIELDS for sign in ("", "-")}


@post("/schedules", opt=told(descriptions.CREATE))
async def create_schedule(request: Request[Any, Any, Any]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    definition = await read_as(request, caller.tenant_id, ScheduleDefinition)
    asked = await once(request, created_answer)
    with use.tracer.step("accept", traceparent(request.scope)) as step:
        step.handled(1)
        return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.accept(caller, definition, it)))


@get("/schedules", opt=told(descriptions.LIST))
async def list_schedules(request: Request[Any, Any, Any]) -> HttpAnswer:
    known = ("state", "enabled", "q", "trigger", "targetKind", "sort", "page", "pageSize", "cursor")
    query = Query(request.scope, known, repeatable=("label",))
    page, size = query.page()
    sort, is_descending = query.one_of("sort", _SORTS) or ("createdAt", True)
    wanted = SchedulesWanted(
        state=query.one_of("state", {state.value: state for state in ScheduleState}),
        enabled=query.flag("enabled"),
        labels=_labels(query.texts("label")),
        text=query.text("q"),
        trigger=query.one_of("trigger", _TRIGGERS),
        target_kind=query.one_of("targetKind", {"EVENT": "EVENT", "HTTP": "HTTP", "QUEUE": "QUEUE"}),
        sort=sort,
        is_descending=is_descending,
        page=page,
        page_size=size,
        after=query.cursor(),
    )
    found = await services_of(request.scope).use.read_schedules.wanted(caller_of(request.scope), wanted)
    return json_answer(schedules_json(found, page, size))


@get("/schedules/{schedule_id:str}", opt=told(descriptions.GET))
async def get_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    read = services_of(request.scope).use.read_schedules
    return sent(schedule_answer(await read.by_id(caller_of(request.scope), id_in_path(schedule_id))))


@get("/schedules/by-key/{key:str}", opt=told(descriptions.GET_BY_KEY))
async def get_schedule_by_key(request: Request[Any, Any, Any], key: FromPath[str]) -> HttpAnswer:
    read = services_of(request.scope).use.read_schedules
    return sent(schedule_answer(await read.by_key(caller_of(request.scope), _known_key(key))))


@patch("/schedules/{schedule_id:str}", opt=told(descriptions.PATCH))
async def patch_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    document = await read_document(request, caller.tenant_id, is_patch=True)
    if not isinstance(document, dict):
        raise InvalidRequest("a merge patch of a schedule is a JSON object")
    if document.keys() != {"enabled"}:
        demand(caller, Role.EDITOR)
    change = services_of(request.scope).use.change.edit
    schedule = await change(caller, id_in_path(schedule_id), precondition(request.scope), _patching(document))
    return sent(schedule_answer(schedule))


@put("/schedules/{schedule_id:str}", opt=told(descriptions.PUT))
async def put_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    document = await read_document(request, caller.tenant_id)
    edit = _replacing(document, typed(document, ScheduleDefinition))
    change = services_of(request.scope).use.change.edit
    return sent(schedule_answer(await change(caller, id_in_path(schedule_id), precondition(request.scope), edit)))


@put("/schedules/by-key/{key:str}", opt=told(descriptions.PUT_BY_KEY))
async def put_schedule_by_key(request: Request[Any, Any, Any], key: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    document = await read_document(request, caller.tenant_id)
    definition = typed(document, ScheduleDefinition)
    if definition.key not in {None, key}:
        raise InvalidField.at("/key", "other-key", "the key in the body is the one in the path, or is left out")
    refuse(list(key_problems(key, "/key")))
    keyed = msgspec.structs.replace(definition, key=key)
    use = services_of(request.scope).use
    edit, demanded = _replacing(document, keyed), precondition(request.scope)
    with use.tracer.step("accept", traceparent(request.scope)) as step:
        step.handled(1)
        schedule, is_new = await use.upsert(caller, key, keyed, edit, demanded, Once(created_answer))
    return sent(created_answer(schedule) if is_new else schedule_answer(schedule))


# The framework refuses a declared 204 on a handler that returns its response itself.
@delete("/schedules/{schedule_id:str}", opt=told(descriptions.DELETE), status_code=200)
async def delete_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    change = services_of(request.scope).use.change
    await change.delete(caller_of(request.scope), id_in_path(schedule_id), precondition(request.scope))
    return nothing()


def _patching(document: dict[str, Any]) -> Edit:
    return lambda definition: typed(merge_schedule(msgspec.to_builtins(definition), document), ScheduleDefinition)


def _replacing(document: dict[str, Any], wanted: ScheduleDefinition) -> Edit:
    """Replace everything; but whoever does not speak of `enabled` leaves a pause, which is an operator's, alone."""
    if "enabled" in document:
        return lambda _: wanted
    return lambda definition: msgspec.structs.replace(wanted, enabled=definition.enabled)


def _known_key(key: str) -> str:
    refuse(list(key_problems(key, "/key")))
    return key


def _labels(texts: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or labels.get(name, value) != value:
            message = "a label is asked for as name:value, each name once"
            raise InvalidField.at("/query/label", "invalid-value", message)
        labels[name] = value
    refuse(list(label_problems(labels, "/query/label")))
    return labels
