"""Deliveries as the claim hands them to a sender, for the tests of the senders."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.payload import BodySource, body_pieces
from scheduler_domain.domain.target import EventTarget, HttpMethod, HttpRequest, HttpTarget, Target
from scheduler_domain.domain.trace import traceparent

FIRED_AT = b"2026-11-22T09:00:00.123456Z"
NINE = datetime(2026, 11, 22, 9, tzinfo=UTC)
SCHEDULE = UUID("019e5a00-0000-7000-8000-000000000007")


def delivery(
    tenant: str = "acme",
    target: Target | None = None,
    *,
    payload: bytes | None = None,
    timeout: float = 5.0,
    schedule_name: str = "Daily report",
) -> Delivery:
    """Return the second attempt at a fresh occurrence, due at nine in London."""
    occurrence = uuid4()
    source = BodySource(
        tenant_id=tenant,
        schedule_id=SCHEDULE,
        schedule_name=schedule_name,
        key="daily",
        tz="Europe/Berlin",
        occurrence_id=occurrence,
        scheduled_for=NINE,
        attempt=2,
    )
    return Delivery(
        tenant_id=tenant,
        schedule_id=SCHEDULE,
        occurrence_id=occurrence,
        schedule_name=schedule_name,
        key="daily",
        tz="Europe/Berlin",
        target=target or EventTarget(event_topic="reports.daily"),
        scheduled_for=NINE,
        attempt=2,
        body_pieces=body_pieces(b"null" if payload is None else payload, source),
        traceparent=traceparent(occurrence, 2, is_recorded=False),
        timeout_sec=timeout,
        may_be_known=False,
    )


def webhook(
    url: str,
    *,
    tenant: str = "acme",
    method: HttpMethod = "POST",
    headers: dict[str, str] | None = None,
    success: list[str] | None = None,
    payload: bytes | None = None,
    timeout: float = 5.0,
    schedule_name: str = "Daily report",
) -> Delivery:
    request = HttpRequest(url=url, method=method, headers=headers or {}, success_status=success or ["2xx"])
    return delivery(tenant, HttpTarget(http=request), payload=payload, timeout=timeout, schedule_name=schedule_name)
