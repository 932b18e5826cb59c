"""Logs, traces and metrics of a process, started before anything else."""

from scheduler_domain.application.ports.tracing import UNTRACED, Tracer
from scheduler_domain.infra.telemetry.logs import configure_logging
from scheduler_domain.infra.telemetry.metrics import render as render_metrics
from scheduler_domain.settings import Settings

__all__ = ["render_metrics", "start_telemetry"]


def start_telemetry(settings: Settings) -> Tracer:
    """Configure logging; return the tracer, which listens only where a collector is named."""
    configure_logging(settings.log.level, settings.log.format)
    if settings.telemetry.otlp_endpoint is None:
        return UNTRACED
    from scheduler_domain.infra.telemetry.tracing import otlp_tracer  # noqa: PLC0415 - slow, and rarely wanted

    return otlp_tracer(settings.telemetry.otlp_endpoint, settings.telemetry.service_name)
