"""One delivery as its target saw it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class ReceivedDelivery:
    """All times are instants in UTC. `fired_at` is what the body says, or the arrival where it says nothing."""

    received_at: datetime
    occurrence_id: str
    schedule_id: str
    scheduled_for: datetime
    fired_at: datetime
    target: str

    @classmethod
    def read(cls, headers: Mapping[str, str], body: bytes, target: str) -> Self:
        """Read the CloudEvents attributes and, where the body is the standard one, the instant of firing."""
        received_at = datetime.now(UTC)
        return cls(
            received_at=received_at,
            occurrence_id=headers.get("ce-id", ""),
            schedule_id=headers.get("ce-source", "").rpartition("/")[2],
            scheduled_for=_instant(headers.get("ce-time")) or received_at,
            fired_at=_fired_at(body) or received_at,
            target=target,
        )

    @property
    def lateness_ms(self) -> float:
        return (self.fired_at - self.scheduled_for).total_seconds() * 1000


def _fired_at(body: bytes) -> datetime | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return _instant(value.get("firedAt")) if isinstance(value, dict) else None


def _instant(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
