"""What goes over the wire to JetStream, laid out so that sending costs one join.

A publish is `HPUB <subject> [<reply>] <header bytes> <all bytes>`, headers, a blank line, the body. All of it is known
when an occurrence is claimed, but three things: the firing instant, the place in an atomic batch, and the reply
subject. The instant always has the same length, and so do our batch headers (a 16-character id, a sequence padded to
four digits), so the sizes in the first line are computed ahead and a batch is put together without formatting.

Within an atomic batch (NATS ADR-50) only the last message asks for a reply: it carries the commit, and its answer
speaks for all. So does its `Nats-Expected-Stream`, for a batch is stored whole or not at all: leaving that header out
of the others saves the server a tenth of its work.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import assert_never

from msgspec import Struct

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.errors import InvalidField
from scheduler_domain.domain.outcome import Refused
from scheduler_domain.domain.payload import FIRED_AT_LENGTH, instant_text
from scheduler_domain.domain.target import TENANT_ID, EventTarget, HttpTarget, QueueTarget, Target, check_topic

EVENTS = "EVENTS"
QUEUES = "QUEUES"
LIFECYCLE = "LIFECYCLE"

BATCH_ID_LENGTH = 16
LARGEST_BATCH = 1000
"""Messages in one atomic batch; the server's own limit."""

_VERSION_LINE = b"NATS/1.0\r\n"
_BATCH_ID = b"Nats-Batch-Id: "
_COMMIT = b"Nats-Batch-Commit: 1\r\n"
_SEQUENCES = [b"\r\nNats-Batch-Sequence: %04d\r\n" % number for number in range(LARGEST_BATCH + 1)]
_BATCH_HEADERS_SIZE = len(_BATCH_ID) + BATCH_ID_LENGTH + len(_SEQUENCES[1])
_EXPECTED_STREAM = {stream: b"Nats-Expected-Stream: %b\r\n" % stream.encode() for stream in (EVENTS, QUEUES)}
SINGLE_OVERHEAD = len(_EXPECTED_STREAM[EVENTS])
BATCH_OVERHEAD = _BATCH_HEADERS_SIZE + len(_COMMIT) + SINGLE_OVERHEAD
"""Bytes by which a frame may grow when it is sent alone, and in a batch."""


class Frame(Struct, frozen=True, gc=False):
    """One message, encoded but for the firing instant.

    `pieces` go between its mentions: the first begins with the headers, the last ends with the closing line break.
    Sizes include the version line, and leave out what is added in a batch or alone.
    """

    stream: str
    batch_line: bytes
    pieces: tuple[bytes, ...]
    headers_size: int
    size: int
    may_be_known: bool

    @property
    def subject(self) -> bytes:
        return self.batch_line[5 : self.batch_line.index(b" ", 5)]


def encode(delivery: Delivery) -> Frame | Refused:
    """Return the frame, or a refusal where the names in it could reach another tenant or the server's own subjects.

    Names were checked when the schedule was saved; a row that was written some other way must not get past here.
    """
    try:
        stream, subject, ce_type = _address(delivery.tenant_id, delivery.target)
    except InvalidField as problem:
        return Refused(problem.message)
    occurrence = str(delivery.occurrence_id)
    headers = (
        f"Nats-Msg-Id: {occurrence}\r\nce-specversion: 1.0\r\nce-id: {occurrence}\r\n"
        f"ce-source: /tenants/{delivery.tenant_id}/schedules/{delivery.schedule_id}\r\n"
        f"ce-type: {ce_type}\r\nce-time: {_instant(delivery.scheduled_for)}\r\n"
        f"content-type: application/json\r\ntraceparent: {delivery.traceparent}\r\n\r\n"
    ).encode()
    body = delivery.body_pieces
    headers_size = len(_VERSION_LINE) + len(headers)
    size = headers_size + sum(map(len, body)) + FIRED_AT_LENGTH * (len(body) - 1)
    return Frame(
        stream=stream,
        batch_line=b"HPUB %b %d %d\r\nNATS/1.0\r\n"
        % (subject, headers_size + _BATCH_HEADERS_SIZE, size + _BATCH_HEADERS_SIZE),
        pieces=_framed(headers, body),
        headers_size=headers_size,
        size=size,
        may_be_known=delivery.may_be_known,
    )


def batch_bytes(frames: Sequence[Frame], batch_id: bytes, fired_at: bytes, reply: bytes) -> bytes:
    """Return an atomic batch of at most `LARGEST_BATCH` frames of one stream; `reply` receives its one answer."""
    identity = _BATCH_ID + batch_id
    parts: list[bytes] = []
    for frame, sequence in zip(frames[:-1], _SEQUENCES[1:], strict=False):
        pieces = frame.pieces
        if len(pieces) == 2:  # as in the standard envelope: one mention of the instant, no join within the join
            parts += (frame.batch_line, identity, sequence, pieces[0], fired_at, pieces[1])
        else:
            parts += (frame.batch_line, identity, sequence, fired_at.join(pieces))
    last = frames[-1]
    closing = b"".join((identity, _SEQUENCES[len(frames)], _COMMIT, _EXPECTED_STREAM[last.stream]))
    parts += (_first_lines(last, reply, closing), fired_at.join(last.pieces))
    return b"".join(parts)


def single_bytes(frame: Frame, fired_at: bytes, reply: bytes) -> bytes:
    """Return the frame as a message of its own, answered at `reply`."""
    return _first_lines(frame, reply, _EXPECTED_STREAM[frame.stream]) + fired_at.join(frame.pieces)


def _first_lines(frame: Frame, reply: bytes, headers: bytes) -> bytes:
    sizes = (frame.headers_size + len(headers), frame.size + len(headers))
    return b"HPUB %b %b %d %d\r\nNATS/1.0\r\n%b" % (frame.subject, reply, *sizes, headers)


def _framed(headers: bytes, body: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(body) == 1:
        return (headers + body[0] + b"\r\n",)
    return (headers + body[0], *body[1:-1], body[-1] + b"\r\n")


def _address(tenant_id: str, target: Target) -> tuple[str, bytes, str]:
    match target:
        case EventTarget():
            topic = target.event_topic
            return EVENTS, _subject("events", tenant_id, topic, "/target/eventTopic"), topic
        case QueueTarget():
            return QUEUES, _subject("queues", tenant_id, target.queue.topic, "/target/queue/topic"), "scheduler.queue"
        case HttpTarget():
            raise InvalidField.at("/target/kind", "invalid-target", "an HTTP target is not sent through NATS")
        case _:
            assert_never(target)


@lru_cache(maxsize=8192)
def _subject(first: str, tenant_id: str, topic: str, pointer: str) -> bytes:
    """Return a subject that is sure to be the tenant's own; the same few are asked for again and again."""
    if TENANT_ID.fullmatch(tenant_id) is None:
        raise InvalidField.at("/tenantId", "invalid-tenant", "the tenant id cannot be part of a subject")
    return f"{first}.{tenant_id}.{check_topic(topic, pointer)}".encode()


@lru_cache(maxsize=64)
def _instant(at: datetime) -> str:
    """A herd shares its instant; formatting it is a tenth of the cost of a frame."""
    return instant_text(at)
