"""An HTTP endpoint of the tests' own: it records what it gets and answers as it is told, politely or not."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web
from multidict import CIMultiDict

from tests.support.waiting import eventually

Answer = Callable[["Receiver", web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; header names ignore case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: CIMultiDict[str]
    body: bytes
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def reply(
    status: int = 200, *, headers: Mapping[str, str] | None = None, body: bytes = b"", delay: float = 0.0
) -> Answer:
    """Answer properly, `delay` seconds after the request."""

    async def answer(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
        await receiver.closing_within(delay)
        return web.Response(status=status, headers=headers, body=body)

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    return reply(status, headers={"Location": location})


def hang() -> Answer:
    """Take the request and never answer."""

    async def answer(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
        await receiver.closing.wait()
        return web.Response(status=503)

    return answer


def reset() -> Answer:
    """Take the request and tear the connection down with a TCP reset."""

    async def answer(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return web.Response()

    return answer


def drip(body: bytes, *, every: float, status: int = 200) -> Answer:
    """Answer byte by byte, `every` seconds one, so that no single read ever takes long."""

    async def answer(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for byte in body:
            if await receiver.closing_within(every):
                break
            await response.write(bytes([byte]))
        return response

    return answer


class Receiver:
    """Listens on a free loopback port. Answers 200 with an empty body unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.closing = asyncio.Event()
        self.url = ""
        self._next: dict[str | None, deque[Answer]] = {}
        self._otherwise: dict[str | None, Answer] = {None: reply()}
        self._runner: web.AppRunner | None = None

    def next_answers(self, *answers: Answer, path: str | None = None) -> None:
        """Give these answers to the next requests, one each, in order; to those for one path only, if it is named."""
        self._next.setdefault(path, deque()).extend(answers)

    def always(self, answer: Answer, *, path: str | None = None) -> None:
        """Give this answer whenever no next one is waiting; for one path only, if it is named."""
        self._otherwise[path] = answer

    async def wait_for(self, count: int, *, within: float) -> list[Received]:
        """Return the requests once at least `count` have arrived."""
        await eventually(lambda: len(self.requests) >= count, within=within)
        return self.requests

    async def closing_within(self, seconds: float) -> bool:
        """Let `seconds` pass; return early, and True, if the receiver is being closed meanwhile."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._receive)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        self.closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(
            Received(request.method, request.path, dict(request.query), CIMultiDict(request.headers), body)
        )
        return await self._answer_for(request.path)(self, request)

    def _answer_for(self, path: str) -> Answer:
        for waiting in (self._next.get(path), self._next.get(None)):
            if waiting:
                return waiting.popleft()
        return self._otherwise.get(path, self._otherwise[None])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    started = Receiver()
    await started.start()
    yield started
    await started.close()
