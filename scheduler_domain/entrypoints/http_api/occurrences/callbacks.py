"""The route that a receiver calls back on. It is behind a door of its own: the token that its delivery brought."""

from typing import Any

from litestar import Request, post
from litestar.params import FromPath

from scheduler_domain.domain.callback import CallbackRight
from scheduler_domain.domain.errors import NotFound, Unauthenticated
from scheduler_domain.domain.validation import refuse, text_problems
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer
from scheduler_domain.entrypoints.http_api.authentication import bearer_token, count_refused
from scheduler_domain.entrypoints.http_api.bodies import read_as
from scheduler_domain.entrypoints.http_api.occurrences import descriptions
from scheduler_domain.entrypoints.http_api.occurrences.payloads import CompleteRequest, occurrence_json
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.queries import id_in_path
from scheduler_domain.entrypoints.http_api.services import services_of


@post("/occurrences/{occurrence_id:str}/complete", opt=told(descriptions.COMPLETE), status_code=200)
async def complete_occurrence(request: Request[Any, Any, Any], occurrence_id: FromPath[str]) -> HttpAnswer:
    right = await _right(request, occurrence_id)
    services = services_of(request.scope)
    if services.request_rate is not None:
        services.request_rate.take(right.tenant_id, services.clock.monotonic())
    said = await read_as(request, right.tenant_id, CompleteRequest)
    if said.message is not None:
        refuse(list(text_problems(said.message, "/message", allow_lines=True)))
    occurrence = await services.use.complete(right, said.success, said.message)
    return json_answer(occurrence_json(occurrence))


async def _right(request: Request[Any, Any, Any], occurrence_id: str) -> CallbackRight:
    """Return what the token allows. An id that is none is refused like a token that is not for it."""
    try:
        token = bearer_token(request.scope)
        return await services_of(request.scope).use.complete.right(token, id_in_path(occurrence_id))
    except (Unauthenticated, NotFound):
        count_refused(request.scope)
        raise Unauthenticated(
            "send Authorization: Bearer <token>, with the callback token of this occurrence"
        ) from None
