"""Routes by which an operator steps in: replay, cancel."""

from typing import Any

from litestar import Request, post
from litestar.params import FromPath

from scheduler_domain.application.ports.dead_letters import DeadLettersWanted
from scheduler_domain.domain.validation import refuse, year_problems
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, sent
from scheduler_domain.entrypoints.http_api.bodies import NothingToChoose, read_as
from scheduler_domain.entrypoints.http_api.occurrences import descriptions
from scheduler_domain.entrypoints.http_api.occurrences.payloads import (
    ReplayRequest,
    batch_replayed_answer,
    cancelled_answer,
    replayed_answer,
)
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.preconditions import once
from scheduler_domain.entrypoints.http_api.queries import check_order, id_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.services import services_of


@post("/occurrences/{occurrence_id:str}/replay", opt=told(descriptions.REPLAY), status_code=202)
async def replay_occurrence(request: Request[Any, Any, Any], occurrence_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity = id_in_path(occurrence_id)
    await read_as(request, caller.tenant_id, NothingToChoose, is_required=False)
    asked = await once(request, replayed_answer)
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.replay.one(caller, identity, it)))


@post("/occurrences/replay", opt=told(descriptions.REPLAY_BATCH), status_code=202)
async def replay_occurrences(request: Request[Any, Any, Any]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    body = await read_as(request, caller.tenant_id, ReplayRequest)
    refuse(list(year_problems({"/from": body.from_, "/to": body.to})))
    check_order(body.from_, body.to, "/to")
    wanted = DeadLettersWanted(schedule_id=body.schedule_id, from_=body.from_, to=body.to, after=body.cursor)
    asked = await once(request, batch_replayed_answer)
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.replay.wanted(caller, wanted, it)))


@post("/occurrences/{occurrence_id:str}/cancel", opt=told(descriptions.CANCEL), status_code=200)
async def cancel_occurrence(request: Request[Any, Any, Any], occurrence_id: FromPath[str]) -> HttpAnswer:
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    identity = id_in_path(occurrence_id)
    await read_as(request, caller.tenant_id, NothingToChoose, is_required=False)
    asked = await once(request, cancelled_answer)
    return sent(await use.answer_once(caller.tenant_id, asked, lambda it: use.cancel(caller, identity, it)))
