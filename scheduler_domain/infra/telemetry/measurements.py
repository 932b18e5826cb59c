"""The flow's own metrics, under the names that dashboards and alert rules rely on."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from scheduler_domain.domain.circuit import CircuitState
from scheduler_domain.infra.telemetry.histogram import BatchHistogram
from scheduler_domain.infra.telemetry.metrics import REGISTRY

# Fine where the promise is (milliseconds), coarse where only the order of magnitude matters (a day of downtime).
LATENESS_BOUNDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
    1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0, 86400.0,
)  # fmt: skip
DELIVERY_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
BATCH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)


class PrometheusMeasurements:
    """Implements application/ports/measurements.py; one instance a process, used from its event loop."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._materialised = Counter(
            "scheduler_materialised_total", "Occurrences planned into the due queue.", registry=registry
        )
        self._leader = Gauge("scheduler_leader", "1 while this process plans ahead, else 0.", registry=registry)
        self._claim_batch_size = BatchHistogram(
            "scheduler_claim_batch_size", "Occurrences leased by one claim that found any.", BATCH_BOUNDS
        )
        self._lateness = BatchHistogram(
            "scheduler_lateness_seconds", "First attempt's start less the due instant.", LATENESS_BOUNDS
        )
        self._delivery = BatchHistogram(
            "scheduler_delivery_seconds", "Duration of attempts.", DELIVERY_BOUNDS, ("target", "outcome")
        )
        self._occurrences = Counter(
            "scheduler_occurrences_total",
            "Occurrences that ended, by final status.",
            ("status", "target", "kind"),
            registry=registry,
        )
        self._put_off = Counter(
            "scheduler_put_off_total",
            "Due webhooks given back to wait: their tenant had too many waiting, or their circuit was open.",
            registry=registry,
        )
        self._circuits = Gauge(
            "scheduler_circuit_state",
            "The worst circuit to a host: 2 open, 1 half-open; no series where all are closed.",
            ("host",),
            registry=registry,
        )
        self._fenced = Counter(
            "scheduler_fenced_total",
            "Outcomes dropped because the lease was lost meanwhile, or the database refused the row.",
            registry=registry,
        )
        self._backlog = Gauge("scheduler_backlog", "Occurrences that are due and not done.", registry=registry)
        self._oldest_due_age = Gauge(
            "scheduler_oldest_due_age_seconds", "Age of the oldest of the backlog; 0 without one.", registry=registry
        )
        self._schedules = Gauge("scheduler_schedules", "Stored schedules by state.", ("state",), registry=registry)
        for histogram in (self._claim_batch_size, self._lateness, self._delivery):
            registry.register(histogram)

    def materialised(self, count: int) -> None:
        self._materialised.inc(count)

    def leading(self, is_leader: bool) -> None:
        self._leader.set(is_leader)

    def claimed(self, batch_size: int) -> None:
        if batch_size:
            self._claim_batch_size.observe(batch_size)

    def fired(self, lateness_seconds: Sequence[float]) -> None:
        self._lateness.observe_batch(lateness_seconds)

    def delivered(self, target: str, outcome: str, seconds: Sequence[float]) -> None:
        self._delivery.observe_batch(seconds, target, outcome)

    def ended(self, status: str, target: str, kind: str, count: int) -> None:
        self._occurrences.labels(status, target, kind).inc(count)

    def put_off(self, count: int) -> None:
        self._put_off.inc(count)

    def circuit(self, host: str, state: CircuitState) -> None:
        if state is CircuitState.CLOSED:
            self._circuits.remove(host)
        else:
            self._circuits.labels(host).set(state)

    def fenced(self, count: int) -> None:
        self._fenced.inc(count)

    def backlog(self, due_count: int, oldest_due_age_seconds: float) -> None:
        self._backlog.set(due_count)
        self._oldest_due_age.set(oldest_due_age_seconds)

    def schedules(self, count_by_state: Mapping[str, int]) -> None:
        """Say how many schedules are stored; a state that is not named has none."""
        self._schedules.clear()
        for state, count in count_by_state.items():
            self._schedules.labels(state).set(count)
