"""Whether a server accepts connections at its address; for servers that the API itself does not talk to."""

import asyncio
import contextlib
import time
from typing import Final
from urllib.parse import urlsplit

from scheduler_domain.application.ports.health import Finding

_USUAL_PORTS: Final = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379}


class Reachable:
    """The server of the first address in a URL; None: not configured, which is well."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    async def examine(self) -> Finding:
        if self._url is None:
            return Finding(is_well=True, detail="not configured")
        parts = urlsplit(self._url.split(",", maxsplit=1)[0])
        started_at = time.monotonic()
        try:
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or _USUAL_PORTS[parts.scheme])
        except (OSError, ValueError, KeyError) as error:
            return Finding(is_well=False, detail=f"does not accept connections ({type(error).__name__})")
        latency_ms = round((time.monotonic() - started_at) * 1000, 3)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return Finding(is_well=True, detail="accepts connections", latency_ms=latency_ms)
