"""What the routes of health say of themselves; the OpenAPI document is made of it."""

from typing import Final

from scheduler_domain.domain.roles import Role
from scheduler_domain.entrypoints.http_api.health.payloads import HealthView
from scheduler_domain.entrypoints.http_api.operations import Operation, Reply

_TAG: Final = "Health"

LIVE: Final = Operation(
    tag=_TAG,
    summary="Does the process answer?",
    is_public=True,
    replies={200: Reply("It does.", HealthView)},
)
READY: Final = Operation(
    tag=_TAG,
    summary="May it be sent requests?",
    description="Not while PostgreSQL is away or migrations are behind. A lost NATS or Redis leaves the API ready.",
    is_public=True,
    replies={200: Reply("It may.", HealthView), 503: Reply("Not now.", HealthView)},
)
DETAILED: Final = Operation(
    tag=_TAG,
    summary="How is each dependency?",
    role=Role.OPERATOR,
    replies={
        200: Reply("Ready; `degraded` where something useful is away.", HealthView),
        503: Reply("Not ready.", HealthView),
    },
)
METRICS: Final = Operation(
    tag=_TAG,
    summary="Metrics in the Prometheus text format",
    is_public=True,
    replies={200: Reply("The metrics of this process.", {"type": "string"}, "text/plain")},
)
