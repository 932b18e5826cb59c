"""Traces as a collector receives them, and what becomes of the flow when there is none."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from scheduler_domain.application.ports.tracing import UNTRACED, TracedAttempt
from scheduler_domain.domain.trace import traceparent
from scheduler_domain.infra.telemetry.tracing import OpenTelemetryTracer, otlp_tracer
from tests.support.waiting import eventually

STARTED_AT = datetime(2026, 11, 22, 9, 0, 0, 1500, tzinfo=UTC)
OCCURRENCE = UUID("019e5a00-0000-8abc-9def-0123456789ab")


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return web.Response()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    collector.url = f"http://127.0.0.1:{port}"
    yield collector
    await runner.cleanup()


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(re.compile("^OTEL_|_PROXY$", re.IGNORECASE).search, list(os.environ)):
        monkeypatch.delenv(name)


def attempt(number: int = 1, error: str | None = None, occurrence_id: UUID = OCCURRENCE) -> TracedAttempt:
    return TracedAttempt(
        tenant_id="acme",
        schedule_id=UUID(int=1),
        occurrence_id=occurrence_id,
        attempt=number,
        target="HTTP",
        outcome="delivered" if error is None else "unreachable",
        error=error,
        started_at=STARTED_AT,
        ended_at=STARTED_AT + timedelta(milliseconds=20),
    )


async def closed(tracer: OpenTelemetryTracer) -> None:
    await asyncio.to_thread(tracer.close)


@pytest.mark.usefixtures("plain_environment")
async def test_an_attempt_is_found_by_the_ids_that_its_target_received(collector: Collector) -> None:
    tracer = otlp_tracer(collector.url, "dispatcher")
    tracer.attempts([attempt(1, "no answer within 15 s"), attempt(2)])
    await closed(tracer)
    first, second = collector.spans
    for number, span in ((1, first), (2, second)):
        assert f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" == traceparent(OCCURRENCE, number, is_recorded=True)
        assert span.parent_span_id == b""
    assert first.trace_id.hex() == OCCURRENCE.hex
    assert first.status.message == "no answer within 15 s"
    assert second.end_time_unix_nano - second.start_time_unix_nano == 20_000_000
    assert second.start_time_unix_nano == int(STARTED_AT.timestamp()) * 10**9 + 1_500_000


@pytest.mark.usefixtures("plain_environment")
async def test_each_step_is_a_span_with_its_batch_size(collector: Collector) -> None:
    tracer = otlp_tracer(collector.url, "dispatcher")
    with tracer.step("claim") as step:
        step.handled(500)
    await closed(tracer)
    (span,) = collector.spans
    assert span.name == "claim"
    assert [(pair.key, pair.value.int_value) for pair in span.attributes] == [("scheduler.batch.size", 500)]


@pytest.mark.usefixtures("plain_environment")
async def test_a_step_continues_the_trace_of_its_caller(collector: Collector) -> None:
    tracer = otlp_tracer(collector.url, "api")
    with tracer.step("accept", parent=f"00-{'ab' * 16}-{'cd' * 8}-01"):
        pass
    await closed(tracer)
    (span,) = collector.spans
    assert span.trace_id.hex() == "ab" * 16
    assert span.parent_span_id.hex() == "cd" * 8


@pytest.mark.usefixtures("plain_environment")
async def test_an_attempt_has_a_trace_of_its_own_even_within_a_step(collector: Collector) -> None:
    tracer = otlp_tracer(collector.url, "dispatcher")
    with tracer.step("deliver"):
        tracer.attempts([attempt()])
    await closed(tracer)
    assert collector.spans[0].trace_id.hex() == OCCURRENCE.hex
    assert collector.spans[1].trace_id.hex() != OCCURRENCE.hex


@pytest.mark.usefixtures("plain_environment")
async def test_a_sampling_ratio_holds_for_computed_ids(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    tracer = otlp_tracer(collector.url, "dispatcher")
    evenly_spread = (UUID(int=(8 << 76) | (0b10 << 62) | (digest << 52)) for digest in range(1024))
    tracer.attempts([attempt(occurrence_id=occurrence_id) for occurrence_id in evenly_spread])
    await closed(tracer)
    assert len(collector.spans) == 256


@pytest.mark.usefixtures("plain_environment")
async def test_a_collector_that_is_away_neither_blocks_nor_keeps_the_process() -> None:
    tracer = otlp_tracer("http://127.0.0.1:9", "dispatcher")
    began = monotonic()
    for _ in range(10):
        tracer.attempts([attempt()] * 1_000)
    traced_in = monotonic() - began
    await asyncio.to_thread(tracer.close, timedelta(seconds=0.2))
    assert traced_in < 5, "ten thousand attempts took longer than tracing itself may"
    await eventually(lambda: exporting() == [], within=2)


def exporting() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "Otel" in thread.name]


def test_without_a_collector_tracing_does_nothing() -> None:
    with UNTRACED.step("claim") as step:
        step.handled(3)
    UNTRACED.attempts([attempt()])
    assert not UNTRACED.listens
