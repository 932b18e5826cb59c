"""What the routes of occurrences say of themselves; the OpenAPI document is made of it."""

from typing import Final

from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.roles import Role
from scheduler_domain.entrypoints.http_api.occurrences.payloads import OccurrencesView, OccurrenceView
from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply
from scheduler_domain.entrypoints.http_api.parameters import OCCURRENCE_ID, PAGING, SCHEDULE_ID, choice, instant

_TAG: Final = "Occurrences"
_ORDER: Final = "Newest first by the instant they were scheduled for. `total` is exact up to 10,000."
_FILTERS: Final = (
    choice("status", "Only occurrences with this status; FAILED is the dead letter.", tuple(Status)),
    instant("from", "Only occurrences scheduled for this instant or later."),
    instant("to", "Only occurrences scheduled for before this instant."),
)

LIST: Final = Operation(
    tag=_TAG,
    summary="List occurrences",
    description=_ORDER,
    role=Role.VIEWER,
    parameters=(
        *_FILTERS,
        Parameter("scheduleId", "query", "Only occurrences of this schedule.", {"type": "string", "format": "uuid"}),
        *PAGING,
    ),
    replies={200: Reply("One page.", OccurrencesView)},
    problems=("invalid-field",),
)
LIST_OF_SCHEDULE: Final = Operation(
    tag=_TAG,
    summary="List a schedule's occurrences",
    description=f"{_ORDER} The history of a deleted schedule can still be read.",
    role=Role.VIEWER,
    parameters=(SCHEDULE_ID, *_FILTERS, *PAGING),
    replies={200: Reply("One page.", OccurrencesView)},
    problems=("not-found", "invalid-field"),
)
GET: Final = Operation(
    tag=_TAG,
    summary="Get an occurrence with its attempts",
    role=Role.VIEWER,
    parameters=(OCCURRENCE_ID,),
    replies={200: Reply("The occurrence.", OccurrenceView)},
    problems=("not-found",),
)
