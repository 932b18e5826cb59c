"""Where an occurrence is delivered, and the grammar of what may be named there."""

import re
from typing import Literal

from msgspec import Struct, field

from scheduler_domain.domain.errors import InvalidField

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TOPIC = re.compile(r"(?!_)[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")
_LONGEST_TOPIC = 200

HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Broker = Literal["NATS", "REDIS", "RABBITMQ", "SQS"]


class EventTarget(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="EVENT"):
    """A JetStream message on `events.{tenantId}.{eventTopic}`."""

    event_topic: str


class HttpRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    url: str
    method: HttpMethod = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    success_status: list[str] = field(default_factory=lambda: ["2xx"])


class HttpTarget(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="HTTP"):
    """One HTTP request; any status that `successStatus` names is a success."""

    http: HttpRequest


class Queue(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    topic: str
    broker: Broker = "NATS"


class QueueTarget(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="QUEUE"):
    """A durable message on a queue of the named broker."""

    queue: Queue


Target = EventTarget | HttpTarget | QueueTarget
TargetKind = Literal["EVENT", "HTTP", "QUEUE"]


def target_kind(target: Target) -> TargetKind:
    match target:
        case EventTarget():
            return "EVENT"
        case HttpTarget():
            return "HTTP"
        case QueueTarget():
            return "QUEUE"


def check_topic(topic: str, pointer: str) -> str:
    """Return the topic if a subscriber can be addressed by it, else refuse: wildcards and `$` reach other tenants.

    >>> check_topic("reports.daily", "/target/eventTopic")
    'reports.daily'
    """
    if len(topic) > _LONGEST_TOPIC or _TOPIC.fullmatch(topic) is None:
        raise InvalidField.at(
            pointer,
            "invalid-topic",
            "a topic is 1 to 8 tokens of A-Z a-z 0-9 _ - (64 each at most) joined by single dots, "
            "does not begin with '_', and has 200 characters at most",
        )
    return topic
