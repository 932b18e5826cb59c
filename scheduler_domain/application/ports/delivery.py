"""Delivering: a claimed occurrence on its way out, and who takes it there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.domain.outcome import Outcome
from scheduler_domain.domain.target import Target


class Delivery(Struct, frozen=True, gc=False):
    """One attempt, ready to go.

    `body_pieces` are joined by the firing instant (domain/payload.py). `may_be_known` is True where the target may
    hold this occurrence already: a retry, or a lease taken over from a dispatcher that vanished.
    """

    tenant_id: str
    schedule_id: UUID
    occurrence_id: UUID
    schedule_name: str
    key: str | None
    tz: str
    target: Target
    scheduled_for: datetime
    attempt: int
    body_pieces: tuple[bytes, ...]
    traceparent: str
    timeout_sec: int
    may_be_known: bool
    expects_callback: bool = False
    """Whether a 202 means that the receiver calls back; it is given the right to then."""


class BrokerSender(Protocol):
    """Sends to a message broker, many at once."""

    def prepare(self, delivery: Delivery) -> Any:
        """Encode everything but the firing instant; called when the occurrence is claimed, ahead of its instant."""

    async def send(self, messages: Sequence[Any], fired_at: bytes) -> Sequence[Outcome]:
        """Send prepared messages, fired at the same instant; one outcome each, in order. Never raises."""


class SingleSender(Protocol):
    """Sends one request and waits for its answer."""

    async def send(self, delivery: Delivery, fired_at: bytes) -> Outcome:
        """Make one attempt within the delivery's timeout. Never raises."""
