"""The webhook endpoint of a run: remembers every attempt and what it answered, and misbehaves when told to."""

import asyncio
import socket
import struct
import time
from datetime import datetime
from enum import StrEnum
from zlib import crc32

import msgspec
from aiohttp import web

from tests.chaos.history import Delivery


class Mood(StrEnum):
    ACCEPTS = "accepts"
    UNAVAILABLE = "answers 503"
    HANGS = "never answers"
    RESETS = "resets connections"


class Envelope(msgspec.Struct, rename="camel"):
    """The standard body, as far as a judge needs it."""

    schedule_id: str
    scheduled_for: datetime
    fired_at: datetime


decode_envelope = msgspec.json.Decoder(Envelope).decode


_FRAGILE = "/fragile"
_BROKEN_SHARE = 0.4


class Receiver:
    """At its `fragile_url` it refuses some occurrences until they, or their schedules, are `mended`."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.mood = Mood.ACCEPTS
        self.url = ""
        self.mended: set[str] = set()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/hook", self._receive)
        application.router.add_post(_FRAGILE, self._receive)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    @property
    def fragile_url(self) -> str:
        return self.url.replace("/hook", _FRAGILE)

    async def close(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        arrived_at = time.time()
        envelope = decode_envelope(await request.read())
        key = request.headers["Idempotency-Key"]
        mood = self.mood
        if mood is Mood.ACCEPTS and request.path == _FRAGILE and self._is_refused(key, envelope.schedule_id):
            mood = Mood.UNAVAILABLE
        self.deliveries.append(
            Delivery(
                key=key,
                schedule_id=envelope.schedule_id,
                scheduled_for=envelope.scheduled_for.timestamp(),
                fired_at=envelope.fired_at.timestamp(),
                arrived_at=arrived_at,
                target="HTTP",
                accepted=mood is Mood.ACCEPTS,
            )
        )
        return await self._answer(mood, request)

    def _is_refused(self, key: str, schedule_id: str) -> bool:
        return not self.mended & {key, schedule_id} and crc32(key.encode()) < _BROKEN_SHARE * 2**32

    async def _answer(self, mood: Mood, request: web.Request) -> web.StreamResponse:
        match mood:
            case Mood.ACCEPTS:
                return web.Response(status=204)
            case Mood.HANGS:
                await self._closing.wait()
            case Mood.RESETS if request.transport is not None:
                reset = struct.pack("ii", 1, 0)
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                request.transport.abort()
        return web.Response(status=503)
