"""Routes that act on a schedule or look ahead: pause, resume, trigger, backfill, next, audit, preview."""

from datetime import timedelta
from typing import Any, Final

from litestar import Request, get, post
from litestar.params import FromPath

from scheduler_domain.application.change_schedule import Pause
from scheduler_domain.application.preview_trigger import LARGEST_COUNT, preview_trigger
from scheduler_domain.domain.schedule import rule_spec_of
from scheduler_domain.domain.triggers import TriggerError
from scheduler_domain.domain.validation import refuse, rule_problem, text_problems, year_problems
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer, sent
from scheduler_domain.entrypoints.http_api.bodies import NothingToChoose, read_as
from scheduler_domain.entrypoints.http_api.occurrences.payloads import triggered_answer
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import once, precondition
from scheduler_domain.entrypoints.http_api.queries import Query, id_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.schedules import descriptions
from scheduler_domain.entrypoints.http_api.schedules.payloads import (
    BackfillRequest,
    PauseRequest,
    PreviewRequest,
    ResumeRequest,
    audit_json,
    backfilled_answer,
    preview_json,
    schedule_answer,
)
from scheduler_domain.entrypoints.http_api.services import services_of

_AUDITED: Final = timedelta(days=1)


@post("/schedules/{schedule_id:str}/pause", opt=told(descriptions.PAUSE), status_code=200)
async def pause_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity, demanded = id_in_path(schedule_id), precondition(request.scope)
    wanted = await read_as(request, caller.tenant_id, PauseRequest, is_required=False)
    refuse([*text_problems(wanted.reason or "", "/reason"), *year_problems({"/resumeAt": wanted.resume_at})])
    pause = Pause(wanted.reason, wanted.resume_at)
    asked = await once(request, schedule_answer)
    paused = use.answer_once(
        caller.tenant_id,
        asked,
        lambda it: use.change.pause(caller, identity, demanded, pause, it),
        lambda: use.change.settled(caller, [identity]),
    )
    return sent(await paused)


@post("/schedules/{schedule_id:str}/resume", opt=told(descriptions.RESUME), status_code=200)
async def resume_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity, demanded = id_in_path(schedule_id), precondition(request.scope)
    wanted = await read_as(request, caller.tenant_id, ResumeRequest, is_required=False)
    asked = await once(request, schedule_answer)
    resumed = use.answer_once(
        caller.tenant_id, asked, lambda it: use.change.resume(caller, identity, demanded, wanted.catch_up, it)
    )
    return sent(await resumed)


@post("/schedules/{schedule_id:str}/trigger", opt=told(descriptions.TRIGGER), status_code=202)
async def trigger_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity = id_in_path(schedule_id)
    await read_as(request, caller.tenant_id, NothingToChoose, is_required=False)
    asked = await once(request, triggered_answer)
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.trigger(caller, identity, it)))


@post("/schedules/{schedule_id:str}/backfill", opt=told(descriptions.BACKFILL), status_code=202)
async def backfill_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity = id_in_path(schedule_id)
    wanted = await read_as(request, caller.tenant_id, BackfillRequest)
    asked = await once(request, backfilled_answer)
    backfilled = use.answer_once(
        caller.tenant_id, asked, lambda it: use.backfill(caller, identity, wanted.from_, wanted.to, it)
    )
    return sent(await backfilled)


@get("/schedules/{schedule_id:str}/next", opt=told(descriptions.NEXT))
async def next_instants(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    count = Query(request.scope, ("count",)).whole("count", 10, 1, LARGEST_COUNT)
    preview = services_of(request.scope).use.preview_schedule
    return json_answer(preview_json(await preview(caller_of(request.scope), id_in_path(schedule_id), count)))


@get("/schedules/{schedule_id:str}/audit", opt=told(descriptions.AUDIT))
async def audit_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    services = services_of(request.scope)
    query = Query(request.scope, ("from", "to"))
    to = query.instant("to") or services.clock.now()
    from_ = query.instant("from") or to - _AUDITED
    return json_answer(
        audit_json(await services.use.audit(caller_of(request.scope), id_in_path(schedule_id), from_, to))
    )


@post("/schedules/preview", opt=told(descriptions.PREVIEW), status_code=200)
async def preview_unsaved(request: Request[Any, Any, Any]) -> HttpAnswer:
    services = services_of(request.scope)
    tenant_id = caller_of(request.scope).tenant_id
    wanted = await read_as(request, tenant_id, PreviewRequest)
    instants = {"/startAt": wanted.start_at, "/endAt": wanted.end_at, "/after": wanted.after}
    refuse(list(year_problems(instants, 1900, 2200)))  # a preview may look further than what is stored
    now = services.clock.now()
    try:
        spec = rule_spec_of(wanted, now)
        found = preview_trigger(spec, wanted.after or now, wanted.count, wanted.max_runs)
    except TriggerError as error:
        raise rule_problem(error) from None
    return json_answer(preview_json(found))
