"""What operators see of a process: names, values, and never a secret."""

import json
import logging
import random
import re
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from scheduler_domain.domain.circuit import CircuitState
from scheduler_domain.infra.telemetry.histogram import BatchHistogram
from scheduler_domain.infra.telemetry.logs import configure_logging
from scheduler_domain.infra.telemetry.measurements import LATENESS_BOUNDS, PrometheusMeasurements
from scheduler_domain.infra.telemetry.metrics import HttpRequestDurations, PoolGauge, render

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"

PROMISED = {
    "scheduler_occurrences": {"status", "target", "kind"},
    "scheduler_lateness_seconds": set(),
    "scheduler_delivery_seconds": {"target", "outcome"},
    "scheduler_backlog": set(),
    "scheduler_oldest_due_age_seconds": set(),
    "scheduler_schedules": {"state"},
    "scheduler_claim_batch_size": set(),
    "scheduler_materialised": set(),
    "scheduler_leader": set(),
    "scheduler_circuit_state": {"host"},
    "scheduler_db_pool": {"state"},
    "http_server_request_duration_seconds": {"method", "route", "status"},
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, ours = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers = handlers
    root.setLevel(level)
    # As it was, with the same list: loggers keep the one that they first saw, and `capture_logs` writes into it.
    structlog.configure(**ours)


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(render(registry)[0].decode())
        for sample in family.samples
        if sample.name == name
    }


def measured(registry: CollectorRegistry) -> None:
    measurements = PrometheusMeasurements(registry)
    measurements.materialised(3)
    measurements.leading(is_leader=True)
    measurements.claimed(3)
    measurements.fired([0.001, 0.002, 0.5])
    measurements.delivered("EVENT", "delivered", [0.004])
    measurements.ended("COMPLETED", "EVENT", "SCHEDULED", 3)
    measurements.backlog(2, 1.5)
    measurements.circuit("hooks.example:8443", CircuitState.OPEN)
    measurements.schedules({"ACTIVE": 4, "PAUSED": 1})
    PoolGauge(lambda: {"idle": 3, "used": 1}, registry)
    HttpRequestDurations(registry).observe("GET", "/schedules/{id}", 204, 0.003)


def test_every_promised_metric_is_exposed_with_its_labels(registry: CollectorRegistry) -> None:
    measured(registry)
    families = {family.name: family for family in text_string_to_metric_families(render(registry)[0].decode())}
    for name, labels in PROMISED.items():
        seen = {label for sample in families[name].samples for label in sample.labels} - {"le"}
        assert seen == labels, name


def test_values_arrive_as_they_were_counted(registry: CollectorRegistry) -> None:
    measured(registry)
    assert samples(registry, "scheduler_occurrences_total") == {
        (("kind", "SCHEDULED"), ("status", "COMPLETED"), ("target", "EVENT")): 3
    }
    assert samples(registry, "scheduler_schedules") == {(("state", "ACTIVE"),): 4, (("state", "PAUSED"),): 1}
    assert samples(registry, "scheduler_lateness_seconds_count") == {(): 3}
    assert samples(registry, "scheduler_leader") == {(): 1}


def test_a_circuit_is_shown_until_it_is_closed(registry: CollectorRegistry) -> None:
    measurements = PrometheusMeasurements(registry)
    measurements.circuit("a.example", CircuitState.OPEN)
    measurements.circuit("b.example:8443", CircuitState.HALF_OPEN)
    host_a, host_b = (("host", "a.example"),), (("host", "b.example:8443"),)
    assert samples(registry, "scheduler_circuit_state") == {host_a: 2, host_b: 1}
    measurements.circuit("a.example", CircuitState.CLOSED)
    assert samples(registry, "scheduler_circuit_state") == {host_b: 1}


def test_a_request_without_a_route_does_not_put_its_path_into_a_label(registry: CollectorRegistry) -> None:
    HttpRequestDurations(registry).observe("GET", None, 404, 0.001)
    assert list(samples(registry, "http_server_request_duration_seconds_count")) == [
        (("method", "GET"), ("route", "unknown"), ("status", "4xx"))
    ]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 1_000])
def test_a_batch_is_counted_like_its_values_one_by_one(registry: CollectorRegistry, size: int) -> None:
    chance = random.Random(size)  # noqa: S311 (test data)
    values = [*(chance.expovariate(100) for _ in range(size)), *LATENESS_BOUNDS, 1e9][:size]
    together = BatchHistogram("together", "", LATENESS_BOUNDS)
    apart = BatchHistogram("apart", "", LATENESS_BOUNDS)
    together.observe_batch(values)
    for value in values:
        apart.observe(value)
    for histogram in (together, apart):
        registry.register(histogram)
    bounds = [*(str(bound) for bound in LATENESS_BOUNDS), "+Inf"]
    for bound in bounds:
        expected = sum(1 for value in values if value <= float(bound))
        assert samples(registry, "together_bucket")[(("le", bound),)] == expected
        assert samples(registry, "apart_bucket")[(("le", bound),)] == expected
    assert samples(registry, "together_sum")[()] == pytest.approx(sum(values))


def test_a_bound_belongs_to_its_own_bucket(registry: CollectorRegistry) -> None:
    histogram = BatchHistogram("edge", "", (1.0, 2.0))
    histogram.observe(1.0)
    histogram.observe_batch([1.0] * 10 + [2.0] * 10)
    registry.register(histogram)
    assert samples(registry, "edge_bucket") == {(("le", "1.0"),): 11, (("le", "2.0"),): 21, (("le", "+Inf"),): 21}


@pytest.mark.usefixtures("restored_logging")
def test_a_library_and_our_own_code_log_in_one_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("scheduler.claim").info("claimed", batch_size=7)
    logging.getLogger("some.library").warning("lost %s", "connection")
    own, foreign = map(json.loads, capsys.readouterr().err.splitlines())
    assert (own["event"], own["batch_size"], own["level"], own["logger"]) == ("claimed", 7, "info", "scheduler.claim")
    assert (foreign["event"], foreign["level"], foreign["logger"]) == ("lost connection", "warning", "some.library")
    assert own.keys() >= {"timestamp"} <= foreign.keys()


@pytest.mark.usefixtures("restored_logging")
def test_nothing_is_written_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", "console")
    structlog.get_logger().error("failed")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_written(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", log_format)  # type: ignore[arg-type]  # parametrised text
    log = structlog.get_logger()
    log.info("calling", headers={"Authorization": "Bearer abcdefgh.secret-1", "X-Plain": "shown"})
    log.info("connecting", url="postgresql://app:secret-2@db/scheduler", jwt_secret="secret-3", lease_token=42)
    log.info("got %s", f"Bearer {TOKEN}")
    log.info("signing", with_="whsec_c2VjcmV0LTQ=", nested=[{"password": "secret-5"}], raw=b"nats://u:secret-6@host")
    logging.getLogger("library").warning("cannot reach redis://:%s@host", "secret-7")
    try:
        raise ConnectionError("refused: amqp://user:secret-8@broker")
    except ConnectionError:
        log.exception("publishing failed")
    written = capsys.readouterr().err
    assert re.findall(r"secret-\d|c2Vj|eyJ", written) == []
    assert "shown" in written
    assert "42" in written
    assert "ConnectionError" in written
