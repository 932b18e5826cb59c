"""Whether a server accepts connections at its address; for servers that the API itself does not talk to."""

import asyncio
import contextlib
import time
from typing import Final
from urllib.parse import urlsplit

from scheduler_domain.application.ports.health import Finding

_USUAL_PORTS: Final = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379}
_ANSWERS_WITHIN: Final = 1.0


class Reachable:
    """Any of the servers in a URL, of which commas part several; None: not configured, which is well."""

    def __init__(self, url: str | None) -> None:
        self._urls = [] if url is None else [each.strip() for each in url.split(",")]

    async def examine(self) -> Finding:
        finding = Finding(is_well=True, detail="not configured")
        for url in self._urls:
            finding = await _accepts_connections(url)
            if finding.is_well:
                break
        return finding


async def _accepts_connections(url: str) -> Finding:
    parts = urlsplit(url)
    started_at = time.monotonic()
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or _USUAL_PORTS[parts.scheme])
    except (OSError, ValueError, KeyError) as error:
        return Finding(is_well=False, detail=f"does not accept connections ({type(error).__name__})")
    latency_ms = round((time.monotonic() - started_at) * 1000, 3)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Finding(is_well=True, detail="accepts connections", latency_ms=latency_ms)
