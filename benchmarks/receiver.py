"""A webhook receiver that costs next to nothing: answers 204 to everything and remembers each idempotency key.

Runs in a process of its own, so that its work is not counted as the product's.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import httpx
import uvloop

from benchmarks.stage import stop

_NAME = b"idempotency-key: "
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Receiver:
    url: str
    pid: int

    def seen(self) -> dict[str, int]:
        """Return how many requests came, and how many different keys they had."""
        counts: dict[str, int] = httpx.get(f"{self.url}/seen", trust_env=False).json()
        return counts


@contextmanager
def receiver() -> Iterator[Receiver]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.receiver"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield Receiver(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
    finally:
        stop(process)


class _Answering(asyncio.Protocol):
    """One connection; a request counts once its head and body are complete."""

    def __init__(self, seen: Counter[bytes]) -> None:
        self._seen = seen
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            fields = head.lower()
            length = _number_after(fields, b"content-length: ")
            if len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(fields)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"get /seen "):
            body = json.dumps({"requests": sum(self._seen.values()), "keys": len(self._seen)}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        begin = head.find(_NAME) + len(_NAME)
        self._seen[head[begin : begin + 36]] += 1
        self._transport.write(_NO_CONTENT)


def _number_after(head: bytes, name: bytes) -> int:
    begin = head.find(name)
    if begin < 0:
        return 0
    return int(head[begin + len(name) :].partition(b"\r\n")[0])


async def _serve() -> None:
    seen: Counter[bytes] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(seen), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
