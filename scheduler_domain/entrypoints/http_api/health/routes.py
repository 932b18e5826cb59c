"""Liveness, readiness, the state of each dependency, and metrics."""

from typing import Any

import msgspec
from litestar import Request, get

from scheduler_domain.application.check_health import Health
from scheduler_domain.application.ports.health import Finding
from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer
from scheduler_domain.entrypoints.http_api.health import descriptions
from scheduler_domain.entrypoints.http_api.health.payloads import FindingView, HealthView
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.services import services_of


@get(["/live", "/health/live"], opt=told(descriptions.LIVE))
async def live() -> HttpAnswer:
    """The process answers; asked to find out whether it has to be restarted, so it looks at nothing else."""
    return _answer(HealthView("ok"))


@get(["/health", "/ready", "/health/ready"], opt=told(descriptions.READY))
async def ready(request: Request[Any, Any, Any]) -> HttpAnswer:
    return _health(await services_of(request.scope).use.health.readiness())


@get("/health/detailed", opt=told(descriptions.DETAILED))
async def detailed(request: Request[Any, Any, Any]) -> HttpAnswer:
    return _health(await services_of(request.scope).use.health.detailed())


@get("/metrics", opt=told(descriptions.METRICS))
async def metrics(request: Request[Any, Any, Any]) -> HttpAnswer:
    content, media_type = request.app.state["metrics"].render()
    return HttpAnswer(content, media_type=media_type)


def _health(health: Health) -> HttpAnswer:
    checks = {name: _finding(finding) for name, finding in health.findings.items()}
    if not health.is_ready:
        return _answer(HealthView("down", checks), 503, {"Retry-After": "2"})
    is_whole = all(finding.is_well for finding in health.findings.values())
    return _answer(HealthView("ok" if is_whole else "degraded", checks))


def _finding(finding: Finding) -> FindingView:
    return FindingView("ok" if finding.is_well else "down", finding.detail, finding.latency_ms)


def _answer(view: HealthView, status: int = 200, headers: dict[str, str] | None = None) -> HttpAnswer:
    return json_answer(msgspec.json.encode(view), status, headers)
