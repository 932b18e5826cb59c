"""What the flow tells a tracer. Per batch always; per attempt only while somebody listens."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct


class TracedAttempt(Struct, frozen=True, gc=False):
    """One attempt as its span shows it; `target` is the target kind, `outcome` the outcome's class in kebab-case."""

    tenant_id: str
    schedule_id: UUID
    occurrence_id: UUID
    attempt: int
    target: str
    outcome: str
    error: str | None
    started_at: datetime
    ended_at: datetime


class Step(Protocol):
    """One batch on its way through one step of the flow."""

    def handled(self, count: int) -> None:
        """Say how many items the batch held, once that is known."""


class Tracer(Protocol):
    @property
    def listens(self) -> bool:
        """False where nobody would see an attempt: the caller then builds none."""

    def step(self, name: str, parent: str | None = None) -> AbstractContextManager[Step]:
        """Trace a batch through accept, materialise, claim, deliver or record; `parent` is an inbound `traceparent`."""

    def attempts(self, attempts: Sequence[TracedAttempt]) -> None:
        """Trace finished attempts, each in its occurrence's trace (domain/trace.py). Never blocks, never raises."""

    def close(self) -> None:
        """Send what waits, within seconds, before the process ends."""


class _Untraced:
    """The tracer of a process that no collector was named to; also its own step."""

    listens = False

    def step(self, name: str, parent: str | None = None) -> AbstractContextManager[Step]:  # noqa: ARG002 (the port's names)
        return nullcontext(self)

    def attempts(self, attempts: Sequence[TracedAttempt]) -> None: ...

    def handled(self, count: int) -> None: ...

    def close(self) -> None: ...


UNTRACED: Tracer = _Untraced()
