"""The API as an ASGI application: routes, the door in front of them, and one shape for everything that goes wrong."""

import gc
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from litestar import Litestar
from litestar.exceptions import HTTPException

from scheduler_domain.bootstrap.api import RequestMetrics, api_services, request_metrics
from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.entrypoints.http_api.authentication import door
from scheduler_domain.entrypoints.http_api.documents import routes as documents
from scheduler_domain.entrypoints.http_api.health import routes as health
from scheduler_domain.entrypoints.http_api.occurrences import actions as occurrence_actions
from scheduler_domain.entrypoints.http_api.occurrences import callbacks
from scheduler_domain.entrypoints.http_api.occurrences import routes as occurrences
from scheduler_domain.entrypoints.http_api.openapi import document_of
from scheduler_domain.entrypoints.http_api.problems import answer_defect, answer_framework_error, answer_refusal
from scheduler_domain.entrypoints.http_api.request_scope import REQUEST_ID_HEADER, request_id
from scheduler_domain.entrypoints.http_api.schedules import actions
from scheduler_domain.entrypoints.http_api.schedules import routes as schedules
from scheduler_domain.entrypoints.http_api.services import RunningServices
from scheduler_domain.entrypoints.http_api.templates import batch, instances
from scheduler_domain.entrypoints.http_api.templates import routes as templates
from scheduler_domain.entrypoints.http_api.tenants import routes as tenants
from scheduler_domain.settings import Settings

ROUTES: Final = [
    schedules.create_schedule,
    schedules.list_schedules,
    schedules.get_schedule,
    schedules.get_schedule_by_key,
    schedules.patch_schedule,
    schedules.put_schedule,
    schedules.put_schedule_by_key,
    schedules.delete_schedule,
    actions.pause_schedule,
    actions.resume_schedule,
    actions.trigger_schedule,
    actions.backfill_schedule,
    actions.next_instants,
    actions.audit_schedule,
    actions.preview_unsaved,
    templates.list_templates,
    templates.create_template,
    templates.get_template,
    templates.put_template,
    templates.delete_template,
    templates.preview_template,
    templates.preview_unsaved_template,
    batch.put_instances,
    instances.list_instances,
    instances.get_instance,
    instances.put_instance,
    instances.delete_instance,
    occurrences.list_occurrences,
    occurrences.get_occurrence,
    occurrences.list_occurrences_of_schedule,
    occurrence_actions.replay_occurrence,
    occurrence_actions.replay_occurrences,
    occurrence_actions.cancel_occurrence,
    callbacks.complete_occurrence,
    tenants.list_tenants,
    tenants.create_tenant,
    tenants.get_tenant,
    tenants.patch_tenant,
    health.live,
    health.ready,
    health.detailed,
    health.metrics,
    documents.openapi_document,
    documents.docs_page,
    documents.docs_asset,
    documents.front_page,
]
_COLLECT_EVERY: Final = (50_000, 20, 100)
_STANDING_HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Api(Litestar):
    """Litestar, with what holds for every answer whoever gave it: a request id, standing headers, a measurement."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        started_at = time.perf_counter()
        status = 500
        if scope["method"] == "HEAD":  # answered as GET; the server sends the head of it alone
            scope = {**scope, "method": "GET"}

        async def send_framed(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                known = {name for name, _ in headers}
                headers += [item for item in _STANDING_HEADERS if item[0] not in known]
                headers.append((REQUEST_ID_HEADER, request_id(scope).encode("ascii")))
                message["headers"] = headers
            await send(message)

        try:
            await super().__call__(scope, receive, send_framed)
        finally:
            seconds = time.perf_counter() - started_at
            self.state["metrics"].observe(scope["method"], _route(scope), status, seconds)


def create_app(settings: Settings) -> Litestar:
    """Return the API; its connections are opened and closed with the ASGI lifespan."""
    measured = request_metrics()

    def lifespan(app: Litestar) -> AbstractAsyncContextManager[None]:
        return _running(app, settings, measured)

    app = Api(
        route_handlers=list(ROUTES),
        middleware=[door],
        exception_handlers={
            SchedulerError: answer_refusal,
            HTTPException: answer_framework_error,
            Exception: answer_defect,
        },
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state["metrics"] = measured
    app.state["openapi"] = document_of(ROUTES)
    return app


@asynccontextmanager
async def _running(app: Litestar, settings: Settings, metrics: RequestMetrics) -> AsyncIterator[None]:
    async with api_services(settings, metrics) as services:
        app.state["services"] = RunningServices(services, settings.api_rate_limit)
        # What was imported lives as long as the process: collecting it again costs tens of milliseconds each time.
        # What a request leaves behind is freed by counting; looking for cycles this rarely costs 1 % instead of 5.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_EVERY)
        yield


def _route(scope: Any) -> str | None:
    template = scope.get("path_template")
    return str(template) if template else None
