"""What the flow counts about itself, per batch and never per occurrence: the hot path must not feel it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler_domain.domain.circuit import CircuitState


class Measurements(Protocol):
    def materialised(self, count: int) -> None: ...

    def leading(self, is_leader: bool) -> None: ...

    def claimed(self, batch_size: int) -> None: ...

    def fired(self, lateness_seconds: Sequence[float]) -> None:
        """Record how long after its due instant each occurrence was first sent."""

    def delivered(self, target: str, outcome: str, seconds: Sequence[float]) -> None:
        """Record the duration of attempts at targets of one kind that ended alike."""

    def ended(self, status: str, target: str, kind: str, count: int) -> None: ...

    def put_off(self, count: int) -> None:
        """Count what was due and given back to wait, because its tenant had too many webhooks waiting.

        Or because the circuit to its receiver was open.
        """

    def circuit(self, host: str, state: CircuitState) -> None:
        """Say how the worst circuit to a host is by now; one that is closed is shown no more."""

    def fenced(self, count: int) -> None:
        """Count outcomes that were dropped because the lease was lost."""

    def backlog(self, due_count: int, oldest_due_age_seconds: float) -> None: ...

    def schedules(self, count_by_state: Mapping[str, int]) -> None: ...
