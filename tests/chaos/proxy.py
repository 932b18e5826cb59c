"""A network between a dispatcher and a server, on loopback: it can be slow, swallow everything, or reset."""

import asyncio
import socket
import struct
from contextlib import suppress

_CHUNK = 64 * 1024
_ABORTS = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards to one address. While `passes` is cleared nothing moves; what was sent arrives once it is set again."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.passes = asyncio.Event()
        self.passes.set()
        self.delay = 0.0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def close(self) -> None:
        self.passes.set()
        self.reset()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    def reset(self) -> None:
        """End every connection with a TCP reset towards both sides."""
        for writer in self._writers:
            with suppress(OSError, AttributeError):  # an error of its own has ended it, and taken its socket
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTS)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.passes.wait()
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        pumps = {
            asyncio.create_task(self._pump(reader, there_writer)),
            asyncio.create_task(self._pump(there_reader, writer)),
        }
        self._pumps |= pumps
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps -= pumps
        self._writers -= {writer, there_writer}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self.passes.wait()
                sink.write(chunk)
                await sink.drain()
        sink.close()
