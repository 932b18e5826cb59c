"""Traces by OpenTelemetry, sent only where a collector is named.

Design note. Each batch is a span of its step; each attempt is a span in the trace of its occurrence, whose ids are
computed (domain/trace.py) and so equal those in the `traceparent` that the target received. Spans wait in a bounded
queue for a thread of the SDK: with the collector away or slow they are dropped, and nothing ever waits for them.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from scheduler_domain.application.ports.tracing import Step, TracedAttempt
from scheduler_domain.domain.trace import span_id

_ALL_128_BITS = (1 << 128) - 1


def otlp_tracer(endpoint: str, service_name: str) -> "OpenTelemetryTracer":
    """Return a tracer that exports to an OTLP collector over HTTP; the standard `OTEL_*` variables tune the rest."""
    return OpenTelemetryTracer(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"), service_name)


class OpenTelemetryTracer:
    """Implements application/ports/tracing.py. Used from one event loop; `close` it before the process ends."""

    listens = True

    def __init__(self, exporter: SpanExporter, service_name: str) -> None:
        self._exporter = exporter
        self._ids = _ComputedIds()
        # Not at exit: that would wait for the exporter's retries, half a minute with the collector away.
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service_name}), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.sampler = _EvenSampler(self._provider.sampler)
        # The SDK warns of each span it drops; that alone would slow the flow while a collector is away.
        logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("scheduler-domain")
        self._incoming = TraceContextTextMapPropagator()

    def step(self, name: str, parent: str | None = None) -> AbstractContextManager[Step]:
        return self._step(name, None if parent is None else self._incoming.extract({"traceparent": parent}))

    @contextmanager
    def _step(self, name: str, context: Context | None) -> Iterator[Step]:
        with self._tracer.start_as_current_span(name, context) as span:
            yield _StepSpan(span)

    def attempts(self, attempts: Sequence[TracedAttempt]) -> None:
        for attempt in attempts:
            self._ids.use(attempt.occurrence_id.int, int(span_id(attempt.occurrence_id, attempt.attempt), 16))
            span = self._tracer.start_span(
                "deliver",
                context=Context(),  # the occurrence's trace is its own, whatever batch it went out with
                kind=SpanKind.PRODUCER,
                attributes=_attributes(attempt),
                start_time=_unix_nanoseconds(attempt.started_at),
            )
            if attempt.error is not None:
                span.set_status(Status(StatusCode.ERROR, attempt.error))
            span.end(_unix_nanoseconds(attempt.ended_at))

    def close(self, within: timedelta = timedelta(seconds=2)) -> None:
        """Send what waits, for as long as `within`, then give up; no thread goes on trying."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(within.total_seconds())
        if closing.is_alive():
            self._exporter.shutdown()


class _StepSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def handled(self, count: int) -> None:
        self._span.set_attribute("scheduler.batch.size", count)


class _ComputedIds(RandomIdGenerator):
    """Random ids, but for the next span after `use`."""

    def __init__(self) -> None:
        self._next: tuple[int, int] | None = None

    def use(self, trace_id: int, span_id: int) -> None:
        self._next = (trace_id, span_id)

    def generate_span_id(self) -> int:
        if self._next is None:
            return super().generate_span_id()
        span_id, self._next = self._next[1], None
        return span_id

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self._next is None else self._next[0]


class _EvenSampler(Sampler):
    """Shows the configured sampler ids whose low 64 bits are evenly spread.

    Ratio samplers judge by those bits (OpenTelemetry SDK, "TraceIdRatioBased"), but in an occurrence's id the two
    highest of them are the UUID's variant: a ratio of 0.1 would sample nothing and 0.8 everything.
    """

    def __init__(self, chosen: Sampler) -> None:
        self._chosen = chosen

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        even_id = (trace_id << 2) & _ALL_128_BITS
        return self._chosen.should_sample(parent_context, even_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return self._chosen.get_description()


def _attributes(attempt: TracedAttempt) -> dict[str, str | int]:
    return {
        "scheduler.tenant.id": attempt.tenant_id,
        "scheduler.schedule.id": str(attempt.schedule_id),
        "scheduler.occurrence.id": str(attempt.occurrence_id),
        "scheduler.attempt": attempt.attempt,
        "scheduler.target": attempt.target,
        "scheduler.outcome": attempt.outcome,
    }


def _unix_nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1_000
