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
from msgspec.structs import replace

from tests.chaos.callbacks import Callbacks
from tests.chaos.definitions import ReceiverUrls
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


_HOOK, _FRAGILE, _LATER, _SLOW = _PATHS = "/hook", "/fragile", "/later", "/slow"
_BROKEN_SHARE = 0.4
_WORK_SECONDS = (0.05, 0.05, 0.05, 0.05, 0.4, 0.4, 1.4)


class Receiver:
    """At its `fragile` URL it refuses some occurrences until they, or their schedules, are `mended`."""

    def __init__(self, callbacks: Callbacks) -> None:
        self.callbacks = callbacks
        self.deliveries: list[Delivery] = []
        self.mood = Mood.ACCEPTS
        self._origin = ""
        self.mended: set[str] = set()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        for path in _PATHS:
            application.router.add_post(path, self._receive)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def urls(self) -> ReceiverUrls:
        return ReceiverUrls(*(f"{self._origin}{path}" for path in _PATHS))

    async def close(self) -> None:
        self._closing.set()
        await self.callbacks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        arrived_at = time.time()
        envelope = decode_envelope(await request.read())
        key = request.headers["Idempotency-Key"]
        mood = self.mood
        if mood is Mood.ACCEPTS and request.path == _FRAGILE and self._is_refused(key, envelope.schedule_id):
            mood = Mood.UNAVAILABLE
        place = len(self.deliveries)
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
        if mood is Mood.ACCEPTS and request.path == _LATER:
            is_mended = self._is_mended(key, envelope.schedule_id)
            await self.callbacks.accepted(request.headers, key, envelope.schedule_id, is_mended=is_mended)
            return web.Response(status=202)
        if mood is Mood.ACCEPTS and request.path == _SLOW:
            await asyncio.sleep(_WORK_SECONDS[crc32(key.encode()) % len(_WORK_SECONDS)])
            self.deliveries[place] = replace(self.deliveries[place], answered_at=time.time())
        return await self._answer(mood, request)

    def _is_refused(self, key: str, schedule_id: str) -> bool:
        return not self._is_mended(key, schedule_id) and crc32(key.encode()) < _BROKEN_SHARE * 2**32

    def _is_mended(self, key: str, schedule_id: str) -> bool:
        return not self.mended.isdisjoint({key, schedule_id})

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
