"""Publishing to JetStream so that an acknowledgement is true and still costs microseconds.

Design note. The authority is the stream: a message is delivered when the stream says it stored it, and `Nats-Msg-Id`
makes that hold once however often it is sent. With `sync_interval: always` the server flushes once for each publish,
so first attempts travel as atomic batches, one flush for up to a thousand. A batch that holds an id which the stream
knows already is refused whole; so what may be known (retries, leases taken over) goes one by one, and so does every
batch that was refused, where each message gets an answer of its own.

How it fails:

* no connection: nothing is tried, no attempt is counted;
* no answer within `acknowledgement_seconds`, or the connection breaks before it: the message may have been stored, the
  attempt counts, and the retry is recognised as a duplicate;
* after a silence, one send at a time feels its way until the server answers again; the others wait uncounted;
* the stream is gone: it is made again, the attempt does not count;
* the stream is full, or is not fit and cannot be made so: an error in the log, the attempt does not count;
* too large for the server, or a name that is not a topic: refused for good.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import count

import structlog
from msgspec import Struct
from nats.aio.msg import Msg

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.errors import ConfigurationError, Unavailable
from scheduler_domain.domain.outcome import ACKNOWLEDGED, Delivered, Outcome, Refused, Unreachable
from scheduler_domain.infra.nats.acknowledgements import NOBODY_LISTENS, Answer, Windows
from scheduler_domain.infra.nats.connection import NatsConnection
from scheduler_domain.infra.nats.frames import (
    BATCH_ID_LENGTH,
    BATCH_OVERHEAD,
    LARGEST_BATCH,
    SINGLE_OVERHEAD,
    Frame,
    batch_bytes,
    encode,
    single_bytes,
)
from scheduler_domain.infra.nats.streams import ensure_streams

_log = structlog.get_logger(__name__)

SMALLEST_BATCH = 16
"""Fewer are sooner stored one by one: measured, each flushed, 12 messages alone take 3 ms, as a batch 6 ms."""
LARGEST_BATCH_BYTES = 2 << 20
LONGEST_RUN_OF_SINGLES = 500
OPEN_SENDS = 8
"""Batches and runs of singles in flight. The server allows 50 open batches a stream: this leaves room for peers."""
STREAM_CHECK_SPACING_SECONDS = 1.0
LONGEST_STREAM_CHECK_SPACING_SECONDS = 60.0
_MESSAGE_TOO_LARGE_FOR_STREAM = 10054

_DUPLICATE = Delivered(duplicate=True)
_AWAY = Unreachable("NATS is away", counts=False)
_SILENT = Unreachable("NATS does not answer", counts=False)
_UNANSWERED = Unreachable("NATS did not acknowledge in time")


class _Shipment(Struct, frozen=True):
    """One call of `send`: what goes out, and where each outcome is put."""

    messages: Sequence[Frame | Refused]
    fired_at: bytes
    outcomes: list[Outcome]

    def frames(self, places: Sequence[int]) -> list[Frame]:
        return [message for place in places if isinstance(message := self.messages[place], Frame)]

    def settle(self, places: Sequence[int], outcome: Outcome) -> None:
        for place in places:
            self.outcomes[place] = outcome


class JetStreamPublisher:
    """The sender of EVENT targets, and of QUEUE targets on NATS (`application.ports.delivery.BrokerSender`)."""

    def __init__(self, url: str, *, replicas: int = 1, acknowledgement_seconds: float = 2.0) -> None:
        self._windows = Windows()
        self._connection = NatsConnection(
            url,
            name="scheduler-domain",
            on_reply=self._receive,
            on_connected=self._connected,
            on_lost=self._windows.settle_all,
        )
        self._replicas = replicas
        self._acknowledgement_seconds = acknowledgement_seconds
        self._open_sends = asyncio.Semaphore(OPEN_SENDS)
        self._is_silent = False
        self._batch_origin = secrets.token_hex(BATCH_ID_LENGTH // 4)
        self._batch_numbers = count()
        self._stream_check: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return self._connection.is_connected

    async def start(self, wait_seconds: float = 5.0) -> bool:
        """Connect and make the streams; return False where NATS is away, and go on trying in the background."""
        return await self._connection.open(wait_seconds)

    async def connected_within(self, seconds: float) -> bool:
        """Wait for NATS to be there, streams seen to; return False where it is not in time."""
        return await self._connection.connected_within(seconds)

    async def stop(self) -> None:
        if self._stream_check is not None:
            self._stream_check.cancel()
            await asyncio.gather(self._stream_check, return_exceptions=True)
        await self._connection.close()

    def prepare(self, delivery: Delivery) -> Frame | Refused:
        return encode(delivery)

    async def send(self, messages: Sequence[Frame | Refused], fired_at: bytes) -> Sequence[Outcome]:
        shipment = _Shipment(messages, fired_at, [_AWAY] * len(messages))
        sends = list(self._sends(shipment))
        if len(sends) == 1:
            await sends[0]
        else:
            await asyncio.gather(*sends)
        return shipment.outcomes

    def _sends(self, shipment: _Shipment) -> Iterator[Coroutine[None, None, None]]:
        """Part a shipment into batches of one stream, runs of singles, and what is refused at once."""
        largest = self._connection.max_payload
        together: dict[str, list[int]] = defaultdict(list)
        alone: list[int] = []
        for place, message in enumerate(shipment.messages):
            if isinstance(message, Refused):
                shipment.outcomes[place] = message
            elif message.size + SINGLE_OVERHEAD > largest:
                shipment.outcomes[place] = _too_large(message.size + SINGLE_OVERHEAD, largest)
            elif message.may_be_known or message.size + BATCH_OVERHEAD > largest:
                alone.append(place)
            else:
                together[message.stream].append(place)
        for places in together.values():
            if len(places) < SMALLEST_BATCH:
                alone += places
            else:
                yield from (self._send_batch(shipment, run) for run in _runs(shipment, places, LARGEST_BATCH))
        if alone:
            yield from (self._send_alone(shipment, run) for run in _runs(shipment, alone, LONGEST_RUN_OF_SINGLES))

    async def _send_batch(self, shipment: _Shipment, places: Sequence[int]) -> None:
        frames = shipment.frames(places)
        batch_id = f"{self._batch_origin}{next(self._batch_numbers) % (1 << 32):08x}".encode()
        answers = await self._exchange(
            1, lambda reply: batch_bytes(frames, batch_id, shipment.fired_at, b"%b.0" % reply)
        )
        if isinstance(answers, Unreachable):
            shipment.settle(places, answers)
        elif (answer := answers[0]) is None or answer is NOBODY_LISTENS:
            shipment.settle(places, self._outcome(answer))
        elif answer.error is None and answer.count == len(frames):
            shipment.settle(places, ACKNOWLEDGED)
        else:
            # Nothing of a refused batch is stored. Whatever the reason (a known id, too many open batches, a stream
            # or server without atomic batches), each message alone gets a true answer.
            await self._send_alone(shipment, places)

    async def _send_alone(self, shipment: _Shipment, places: Sequence[int]) -> None:
        frames = shipment.frames(places)
        answers = await self._exchange(
            len(frames),
            lambda reply: b"".join(
                [single_bytes(frame, shipment.fired_at, b"%b.%d" % (reply, slot)) for slot, frame in enumerate(frames)]
            ),
        )
        if isinstance(answers, Unreachable):
            shipment.settle(places, answers)
            return
        for place, answer in zip(places, answers, strict=True):
            shipment.outcomes[place] = self._outcome(answer)

    async def _exchange(
        self, slots: int, bytes_answered_at: Callable[[bytes], bytes]
    ) -> Sequence[Answer | None] | Unreachable:
        """Write once and wait for the answers; an `Unreachable` means that nothing was written."""
        async with self._open_sends:
            if self._is_silent and len(self._windows) > 0:
                return _SILENT
            number, window = self._windows.open(slots)
            try:
                self._connection.write(bytes_answered_at(b"%b.%d" % (self._connection.inbox, number)))
                answers = await window.answered_within(self._acknowledgement_seconds)
            except Unavailable:
                return _AWAY
            finally:
                self._windows.close(number)
            if all(answer is None for answer in answers):
                self._is_silent = True
            return answers

    def _outcome(self, answer: Answer | None) -> Outcome:
        if answer is None:
            return _UNANSWERED
        if answer.error is None:
            return _DUPLICATE if answer.duplicate else ACKNOWLEDGED
        if answer.error.err_code == _MESSAGE_TOO_LARGE_FOR_STREAM:
            return Refused("the message is larger than the NATS stream takes")
        self._check_streams(answer.error.description)
        return Unreachable(f"NATS refused the message: {answer.error.description}", counts=False)

    async def _receive(self, message: Msg) -> None:
        self._is_silent = False
        self._windows.receive(message)

    async def _connected(self) -> None:
        self._is_silent = False
        if not await self._ensure_streams():
            self._keep_checking_streams()

    def _check_streams(self, reason: str) -> None:
        """See to the streams in the background, once a second at most, however many messages are refused."""
        if self._keep_checking_streams():
            _log.error("nats_message_refused", reason=reason)

    def _keep_checking_streams(self) -> bool:
        """Begin to see to the streams until that succeeds; return False where that is under way already."""
        if self._stream_check is not None and not self._stream_check.done():
            return False
        self._stream_check = asyncio.create_task(self._ensure_streams_then_rest(), name="nats-streams")
        return True

    async def _ensure_streams_then_rest(self) -> None:
        """Try ever more seldom, once a minute in the end.

        A cluster may be reached before it has chosen its leader or has found its members, and somebody may mend what
        is unfit.
        """
        spacing, is_done = STREAM_CHECK_SPACING_SECONDS, False
        while self._connection.is_connected and not is_done:
            is_done = await self._ensure_streams()
            await asyncio.sleep(spacing)
            spacing = min(2 * spacing, LONGEST_STREAM_CHECK_SPACING_SECONDS)

    async def _ensure_streams(self) -> bool:
        """Return whether all streams are as we need them."""
        try:
            await ensure_streams(self._connection, self._replicas)
        except Unavailable as error:
            _log.warning("nats_streams_unchecked", reason=error.message)
            return False
        except ConfigurationError as error:
            _log.error("nats_streams_unfit", error=error.message)
            return False
        return True


def _runs(shipment: _Shipment, places: Sequence[int], longest: int) -> Iterator[Sequence[int]]:
    """Cut into runs that are bounded in messages and in bytes."""
    start = size = 0
    for end, frame in enumerate(shipment.frames(places)):
        if end - start == longest or (size + frame.size > LARGEST_BATCH_BYTES and end > start):
            yield places[start:end]
            start, size = end, 0
        size += frame.size
    yield places[start:]


def _too_large(size: int, largest: int) -> Refused:
    return Refused(f"the message has {size:,} bytes with its headers; NATS takes {largest:,} (max_payload)")
