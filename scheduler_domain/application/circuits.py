"""Circuits of one dispatcher: which receivers it leaves alone for now, and who asks them whether they are back.

One for each lane (tenant, origin). Each dispatcher finds out for itself and forgets it at its end: what they would have
to agree on is worth ten requests. A circuit that is closed is kept for two minutes after its last request, an open one
until nobody has come to it for an hour; so there are as many as lanes with a request lately, and a few more.
"""

import math
import random
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.domain.circuit import USUAL_TERMS, Circuit, CircuitState, CircuitTerms, answered
from scheduler_domain.domain.outcome import Outcome

Lane = tuple[str, str]
"""Tenant and origin."""
_FORGET_EVERY = 30.0


class CircuitChange(Struct, frozen=True):
    """That a circuit opened, or closed again; failed probes in between are none."""

    tenant_id: str
    origin: str
    is_open: bool
    error: str | None
    """What the last straw was, where it opened."""


class Circuits:
    def __init__(
        self,
        clock: Clock,
        measurements: Measurements,
        terms: CircuitTerms = USUAL_TERMS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._measurements = measurements
        self._terms = terms
        self._chance = chance
        self._circuits: dict[Lane, Circuit] = {}
        self._not_closed_by_host: dict[str, dict[Lane, Circuit]] = {}
        self._changes: list[CircuitChange] = []
        self._forgets_at = -math.inf

    def lets_through(self, lane: Lane, schedule_id: UUID) -> bool:
        """Tell whether a request of the lane may wait for its slot; the one that comes for the probe has become it."""
        circuit = self._circuits.get(lane)
        if circuit is None:
            return True
        before = circuit.state
        is_through = circuit.lets_through(self._clock.monotonic(), schedule_id)
        if circuit.state is not before:
            self._show(_host(lane))
        return is_through

    def begin(self, lane: Lane) -> tuple[Circuit, int]:
        """Return what to name at the `end` of the request that begins now."""
        circuit = self._circuits.get(lane)
        if circuit is None:
            circuit = self._circuits[lane] = Circuit(self._terms)
        return circuit, circuit.begin(self._clock.monotonic())

    def end(self, lane: Lane, began: tuple[Circuit, int], outcome: Outcome | None) -> bool:
        """Take how a request ended, None if it was let go of before it was made; return whether its circuit is open.

        Of a circuit that was forgotten before they end, in a process that was stopped for minutes, they move nothing.
        """
        circuit, stretch = began
        if self._circuits.get(lane) is not circuit:
            return False
        before = circuit.state
        is_answered = None if outcome is None else answered(outcome)
        has_status = outcome is not None and outcome.status_code is not None
        now, jitter = self._clock.monotonic(), self._chance()
        circuit.end(stretch, is_answered=is_answered, now=now, jitter=jitter, has_status=has_status)
        if circuit.state is not before:
            self._changed(lane, circuit, before, outcome)
        return circuit.state is CircuitState.OPEN

    def wait(self, lane: Lane) -> timedelta | None:
        """Return how long what was not let through had better wait; None where the lane's circuit is closed."""
        circuit = self._circuits.get(lane)
        return None if circuit is None else circuit.wait(self._clock.monotonic())

    def forget_idle(self) -> None:
        """Forget what is of no use any more; to be called now and then."""
        now = self._clock.monotonic()
        if now < self._forgets_at:
            return
        self._forgets_at = now + _FORGET_EVERY
        for lane in [lane for lane, circuit in self._circuits.items() if circuit.is_idle(now)]:
            if self._circuits.pop(lane).state is not CircuitState.CLOSED:
                self._note_closed(lane)

    def take_changes(self) -> list[CircuitChange]:
        """Return, once each, which circuits opened and which closed."""
        taken, self._changes = self._changes, []
        return taken

    def _changed(self, lane: Lane, circuit: Circuit, before: CircuitState, outcome: Outcome | None) -> None:
        if circuit.state is CircuitState.CLOSED:
            self._note_closed(lane)
            self._changes.append(CircuitChange(*lane, is_open=False, error=None))
            return
        if before is CircuitState.CLOSED:
            self._not_closed_by_host.setdefault(_host(lane), {})[lane] = circuit
            self._changes.append(CircuitChange(*lane, is_open=True, error=getattr(outcome, "error", None)))
        self._show(_host(lane))

    def _note_closed(self, lane: Lane) -> None:
        host = _host(lane)
        others = self._not_closed_by_host[host]
        del others[lane]
        if not others:
            del self._not_closed_by_host[host]
        self._show(host)

    def _show(self, host: str) -> None:
        """Say how the worst circuit to a host is: several tenants, or schemes, may have one to it."""
        circuits = self._not_closed_by_host.get(host, {}).values()
        self._measurements.circuit(host, max((circuit.state for circuit in circuits), default=CircuitState.CLOSED))


def _host(lane: Lane) -> str:
    return urlsplit(lane[1]).netloc
