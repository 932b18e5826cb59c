"""Requests to the API that are repeated until they are answered.

A request that is not answered may have been carried out. So each is repeated until its 2xx arrives, under one
Idempotency-Key where it creates something, and what it does took effect between the first request and the last answer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.chaos.stage import TENANTS, Stage

_REQUEST_TIMEOUT = 10.0
_TRY_AGAIN_AFTER = 0.2


class Requests:
    """`refused` tells of answers that no fault explains; a 503 or a conflict is repeated."""

    def __init__(self, stage: Stage) -> None:
        self.answers: Counter[int] = Counter()
        self.refused: list[str] = []
        self.slowest_answer = 0.0
        self._client = _RenewedClient(lambda: httpx.AsyncClient(timeout=_REQUEST_TIMEOUT, trust_env=False))
        self._api_url = stage.api_url
        self._headers = {
            tenant: {"Authorization": f"Bearer {stage.token(tenant)}", "X-Tenant-Id": tenant} for tenant in TENANTS
        }

    async def close(self) -> None:
        await self._client.aclose()

    async def acknowledged(
        self, tenant: str, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self._repeated(tenant, method, path, headers, json=body)

    async def acknowledged_lines(self, tenant: str, path: str, lines: bytes) -> httpx.Response:
        """Send NDJSON; an answer that breaks off is none."""
        return await self._repeated(tenant, "POST", path, {"Content-Type": "application/x-ndjson"}, content=lines)

    async def _repeated(
        self, tenant: str, method: str, path: str, headers: dict[str, str], **content: Any
    ) -> httpx.Response:
        """Repeat the request until it is answered with success; a delete that finds nothing was carried out before."""
        url, headers = f"{self._api_url}{path}", {**headers, **self._headers[tenant]}
        while True:
            began = time.monotonic()
            answer = await self._client.answer(lambda client: client.request(method, url, headers=headers, **content))
            if answer is None:
                await asyncio.sleep(_TRY_AGAIN_AFTER)
                continue
            self.slowest_answer = max(self.slowest_answer, time.monotonic() - began)
            self.answers[answer.status_code] += 1
            if answer.is_success or (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
                return answer
            if answer.status_code not in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT}:
                self.refused.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(_TRY_AGAIN_AFTER)


class _RenewedClient:
    """An HTTP client that is made anew where it would be of no use any more.

    Where a connection breaks while it is opened, anyio asks a socket that is gone for its peer. The AttributeError
    leaves the connection in the pool for good; a hundred of them, and no request gets one.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._clients = [make()]

    async def answer(self, send: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response | None:
        """Return the answer, None where there was none."""
        client = self._clients[-1]
        try:
            return await send(client)
        except httpx.TransportError:
            return None
        except AttributeError:
            if client is self._clients[-1]:
                self._clients.append(self._make())
            return None

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()
