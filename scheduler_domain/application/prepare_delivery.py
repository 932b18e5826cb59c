"""Prepare: what leaves for an occurrence, when, and by which lane; all of it known when the occurrence is claimed."""

import math
from urllib.parse import urlsplit

from scheduler_domain.application.held_occurrence import DeliveryTerms
from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain.misfire import MISFIRE_THRESHOLD
from scheduler_domain.domain.payload import BodySource, body_pieces, is_fixed
from scheduler_domain.domain.target import EventTarget, HttpTarget, QueueTarget, Target
from scheduler_domain.domain.trace import traceparent

_CATCH_UP_BATCHES_PER_SECOND = 100
_LATE_AFTER = MISFIRE_THRESHOLD.total_seconds()


def fire_at(claimed: Claimed) -> float:
    """Return when an attempt goes out, in epoch seconds: at the due instant, or at a retry's.

    What was queued when it was late already goes out at its place in the catch-up lane, else a claim's reach of them
    would go at once and hold up what is on time. Places are rounded up, so that neighbours leave together.
    """
    if claimed.was_tried:
        return claimed.start_tag
    if claimed.start_tag - claimed.due_at <= _LATE_AFTER:
        return claimed.due_at
    return math.ceil(claimed.start_tag * _CATCH_UP_BATCHES_PER_SECOND) / _CATCH_UP_BATCHES_PER_SECOND


def lane_of(target: Target) -> str:
    """Return what deliveries to this target share a limit with: a broker, or an HTTP origin."""
    match target:
        case EventTarget():
            return "NATS"
        case QueueTarget():
            return target.queue.broker
        case HttpTarget():
            parts = urlsplit(target.http.url)
            return f"{parts.scheme}://{parts.netloc}"


def delivery_of(claimed: Claimed, terms: DeliveryTerms, *, is_recorded: bool) -> Delivery:
    """Return the next attempt at it; raises where its body cannot be filled, as for a zone that is not known."""
    attempt = claimed.attempt_count + 1
    return Delivery(
        tenant_id=claimed.tenant_id,
        schedule_id=claimed.schedule_id,
        occurrence_id=claimed.id,
        schedule_name=terms.name,
        key=terms.key,
        tz=terms.tz,
        target=terms.target,
        scheduled_for=claimed.instant,
        attempt=attempt,
        body_pieces=_body(claimed, terms, attempt),
        traceparent=traceparent(claimed.id, attempt, is_recorded=is_recorded),
        timeout_sec=terms.timeout_sec,
        may_be_known=claimed.was_tried or claimed.lease_token > 1,
        expects_callback=terms.completion == "CALLBACK",
    )


def _body(claimed: Claimed, terms: DeliveryTerms, attempt: int) -> tuple[bytes, ...]:
    payload = bytes(terms.payload)
    if is_fixed(payload):
        return (payload,)
    source = BodySource(
        claimed.tenant_id,
        claimed.schedule_id,
        terms.name,
        terms.key,
        terms.tz,
        claimed.id,
        claimed.instant,
        attempt,
    )
    return body_pieces(payload, source)
