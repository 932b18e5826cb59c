"""The metrics registry of a process, and what every role measures: requests, database connections, the process.

Label values are few by construction: routes are templates, never paths, and nothing names a tenant.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler_domain.infra.telemetry.histogram import BatchHistogram

REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNKNOWN_ROUTE = "unknown"

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it unannotated
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


def render(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """Return the metrics of this process as text, and the content type to send with it."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class HttpRequestDurations:
    """`http_server_request_duration_seconds`, one observation a request."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._durations = BatchHistogram(
            "http_server_request_duration_seconds",
            "Time from a request's first byte to the last byte of its answer.",
            REQUEST_BOUNDS,
            ("method", "route", "status"),
        )
        registry.register(self._durations)

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the template it matched (`/schedules/{id}`), None where it matched none."""
        self._durations.observe(seconds, method, route or UNKNOWN_ROUTE, f"{status // 100}xx")


class PoolGauge(Collector):
    """`scheduler_db_pool`, read at the moment somebody asks."""

    def __init__(self, connections: Callable[[], Mapping[str, int]], registry: CollectorRegistry = REGISTRY) -> None:
        self._connections = connections
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for state, count in self._connections().items():
            family.add_metric((state,), count)
        return [family]

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "scheduler_db_pool", "Database connections of this process by state.", labels=["state"]
        )
