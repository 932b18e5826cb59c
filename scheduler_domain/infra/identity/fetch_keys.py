"""Getting a key set over https: bounded in time and size, following nobody elsewhere."""

import asyncio
from datetime import timedelta
from typing import Final

import httpx

from scheduler_domain.infra.identity.key_set import LARGEST_KEY_SET, Fetch

TIMEOUT: Final = timedelta(seconds=2)


def fetch_over_http(url: str) -> Fetch:
    """Return a fetch of this address; OSError and ValueError are all it raises."""

    async def fetch() -> bytes:
        try:
            async with (
                asyncio.timeout(TIMEOUT.total_seconds()),  # the client's own is for each read, however many there are
                httpx.AsyncClient(timeout=TIMEOUT.total_seconds(), follow_redirects=False) as client,
                client.stream("GET", url, headers={"accept": "application/json"}) as response,
            ):
                return await _content(response)
        except httpx.HTTPError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return fetch


async def _content(response: httpx.Response) -> bytes:
    if response.status_code != 200:
        raise ValueError(f"the identity provider answered {response.status_code}")
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_KEY_SET:
            raise ValueError(f"the key set has more than {LARGEST_KEY_SET} bytes")
    return bytes(content)
