"""Routes that read the history."""

from typing import Any, Final
from uuid import UUID

from litestar import Request, get
from litestar.params import FromPath

from scheduler_domain.application.ports.occurrences import OccurrencesWanted
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer
from scheduler_domain.entrypoints.http_api.occurrences import descriptions
from scheduler_domain.entrypoints.http_api.occurrences.payloads import occurrence_json, occurrences_json
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.queries import Query, check_order, id_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of
from scheduler_domain.entrypoints.http_api.services import services_of

_KNOWN: Final = ("status", "from", "to", "page", "pageSize", "cursor")
_STATUSES: Final = {status.value: status for status in Status}


@get("/occurrences", opt=told(descriptions.LIST))
async def list_occurrences(request: Request[Any, Any, Any]) -> HttpAnswer:
    query = Query(request.scope, (*_KNOWN, "scheduleId"))
    wanted = _wanted(query, query.identity("scheduleId"))
    found = await services_of(request.scope).use.read_occurrences.wanted(caller_of(request.scope), wanted)
    return json_answer(occurrences_json(found, wanted.page, wanted.page_size))


@get("/occurrences/{occurrence_id:str}", opt=told(descriptions.GET))
async def get_occurrence(request: Request[Any, Any, Any], occurrence_id: FromPath[str]) -> HttpAnswer:
    read = services_of(request.scope).use.read_occurrences
    return json_answer(occurrence_json(await read.by_id(caller_of(request.scope), id_in_path(occurrence_id))))


@get("/schedules/{schedule_id:str}/occurrences", opt=told(descriptions.LIST_OF_SCHEDULE))
async def list_occurrences_of_schedule(request: Request[Any, Any, Any], schedule_id: FromPath[str]) -> HttpAnswer:
    identity = id_in_path(schedule_id)
    wanted = _wanted(Query(request.scope, _KNOWN), identity)
    read = services_of(request.scope).use.read_occurrences
    found = await read.of_schedule(caller_of(request.scope), identity, wanted)
    return json_answer(occurrences_json(found, wanted.page, wanted.page_size))


def _wanted(query: Query, schedule_id: UUID | None) -> OccurrencesWanted:
    page, size = query.page()
    from_, to = query.instant("from"), query.instant("to")
    check_order(from_, to, "/query/to")
    return OccurrencesWanted(
        status=query.one_of("status", _STATUSES),
        schedule_id=schedule_id,
        from_=from_,
        to=to,
        page=page,
        page_size=size,
        after=query.cursor(),
    )
