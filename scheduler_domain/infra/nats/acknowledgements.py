"""Matching JetStream's answers to what was sent.

Each send opens a window: a reply subject `<inbox>.<window>` with one slot for each message that asked for an answer,
`<inbox>.<window>.<slot>`. A window is waited for once, however many answers it holds, and is forgotten when its time is
up; answers that come later find nothing and are dropped.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from nats.aio.msg import Msg


class Answer(msgspec.Struct, frozen=True):
    """A publish acknowledgement as the server words it; with an `error` nothing was stored."""

    class Error(msgspec.Struct, frozen=True):
        code: int = 0
        err_code: int = 0
        description: str = ""

    stream: str = ""
    duplicate: bool = False
    count: int = 0
    error: Error | None = None


NOBODY_LISTENS = Answer(error=Answer.Error(503, 0, "no stream takes this subject"))
"""The server's answer where no stream has the subject, or the stream has no leader."""
_NO_RESPONDERS = "503"
_decode = msgspec.json.Decoder(Answer).decode


class Window:
    """The answers to one send, in the order of its slots; None where none came."""

    def __init__(self, slots: int) -> None:
        self.answers: list[Answer | None] = [None] * slots
        self._missing = slots
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def put(self, slot: int, answer: Answer) -> None:
        if slot < len(self.answers) and self.answers[slot] is None:
            self.answers[slot] = answer
            self._missing -= 1
            if self._missing == 0:
                self.settle()

    def settle(self) -> None:
        """End the wait: all answers are here, or none will come any more."""
        if not self._settled.done():
            self._settled.set_result(None)

    async def answered_within(self, seconds: float) -> Sequence[Answer | None]:
        await asyncio.wait((self._settled,), timeout=seconds)
        return self.answers


class Windows:
    """All open windows of a connection."""

    def __init__(self) -> None:
        self._open: dict[int, Window] = {}
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._open)

    def open(self, slots: int) -> tuple[int, Window]:
        self._last_number += 1
        window = self._open[self._last_number] = Window(slots)
        return self._last_number, window

    def close(self, number: int) -> None:
        del self._open[number]

    def receive(self, message: Msg) -> None:
        _, number, slot = message.subject.rsplit(".", 2)
        window = self._open.get(int(number))
        if window is not None:
            window.put(int(slot), _answer_in(message))

    def settle_all(self) -> None:
        """The connection broke: what is not answered by now will not be."""
        for window in self._open.values():
            window.settle()


def _answer_in(message: Msg) -> Answer:
    if not message.data and (message.headers or {}).get("Status") == _NO_RESPONDERS:
        return NOBODY_LISTENS
    try:
        return _decode(message.data)
    except msgspec.DecodeError:
        return Answer(error=Answer.Error(500, 0, "the answer was not an acknowledgement"))
