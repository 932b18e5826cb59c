"""Load on an HTTP server from a process of its own: `wrk` where it is installed, else a small loop of ours.

Both keep a fixed number of connections open, send the next request on each when the last was answered, and go through
the given requests in turn. An answer that is no success fails the benchmark: it would be measuring refusals.
"""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.figures import spread

CONNECTIONS = 32
_SLACK_SEC = 30.0


Figures = dict[str, Any]


def drive(url: str, requests: Sequence[str], headers: dict[str, str], seconds: float, folder: Path) -> Figures:
    """Send `requests` ("METHOD path" and, on a second line, a body) for some seconds; return rate and latencies."""
    plan = folder / "load.json"
    plan.write_text(json.dumps({"url": url, "requests": list(requests), "headers": headers, "seconds": seconds}))
    wrk = shutil.which("wrk")
    command = [sys.executable, "-m", "benchmarks.load", str(plan)] if wrk is None else _wrk(wrk, plan)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + _SLACK_SEC)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip() or done.stdout.strip()}")
    figures: Figures = json.loads(lines[-1])
    if refused := figures.pop("refused"):
        raise RuntimeError(f"{refused} of {figures['n']} requests did not succeed")
    return {**figures, "load": "own loop" if wrk is None else "wrk"}


def _wrk(wrk: str, plan: Path) -> list[str]:
    asked = json.loads(plan.read_text())
    script = plan.with_suffix(".lua")
    listed = ", ".join(f"[{json.dumps(name)}]={json.dumps(value)}" for name, value in asked["headers"].items())
    texts = ",\n".join(map(_lua_request, asked["requests"]))
    script.write_text(_LUA.replace("HEADERS", listed).replace("REQUESTS", texts))
    return [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{asked['seconds']:.0f}s", "-s", str(script), asked["url"]]


def _lua_request(request: str) -> str:
    line, _, body = request.partition("\n")
    method, path = line.split(" ")
    return f"f({json.dumps(method)}, {json.dumps(path)}, headers, {json.dumps(body) if body else 'nil'})"


# wrk formats a request once; answering from a table keeps its own cost out of the way.
_LUA = """
local texts, number = nil, 0
local headers = { HEADERS }
function init()
  local f = wrk.format
  texts = { REQUESTS }
end
function request() number = number % #texts + 1; return texts[number] end
function done(summary, latency)
  local failed = summary.errors
  io.write(string.format('{"n": %d, "per_s": %.0f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "refused": %d}\\n',
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, failed.status + failed.connect + failed.read + failed.timeout))
end
"""


class _Connection(asyncio.Protocol):
    """One kept-open connection: the next request goes out when the last answer is complete."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self._requests = requests
        self._until = until
        self._received = b""
        self._began = 0.0
        self.milliseconds: list[float] = []
        self.refused = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, complete, body = self._received.partition(b"\r\n\r\n")
        if not complete or len(body) < _content_length(head):
            return
        self.milliseconds.append((time.perf_counter() - self._began) * 1000)
        self.refused += not head.startswith(b"HTTP/1.1 2")
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._until:
            self.ended.set_result(None)
            self._transport.close()
        else:
            self._transport.write(next(self._requests))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


def _request_bytes(request: str, host: str, headers: dict[str, str]) -> bytes:
    line, _, body = request.partition("\n")
    lines = [f"{line} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join([*lines, "", body]).encode()


async def _loop(asked: dict[str, Any]) -> Figures:
    url = urlsplit(asked["url"])
    texts = itertools.cycle([_request_bytes(each, url.netloc, asked["headers"]) for each in asked["requests"]])
    began = time.perf_counter()
    until = began + asked["seconds"]
    connections = []
    for _ in range(CONNECTIONS):
        made = asyncio.get_running_loop().create_connection(lambda: _Connection(texts, until), url.hostname, url.port)
        connections.append((await made)[1])
    await asyncio.gather(*(connection.ended for connection in connections))
    elapsed = time.perf_counter() - began
    ordered = sorted(each for connection in connections for each in connection.milliseconds)
    return {
        "n": len(ordered),
        "per_s": round(len(ordered) / elapsed),
        **spread(ordered),
        "refused": sum(connection.refused for connection in connections),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_loop(json.loads(Path(sys.argv[1]).read_text())))))
