"""An identity provider's public keys, fetched now and then and kept for bad times.

Design note. The provider is the authority for ten minutes at a time. A token that names an unknown key makes us ask at
most once a minute, one request at a time, so nobody can make us hammer the provider by inventing key ids. If it is
away, the keys it gave last are believed for 24 hours. A key is used only with the algorithm that belongs to it, and
only asymmetric ones: a token can never choose to be checked as a shared secret (RFC 8725, section 3.1).
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import structlog
from jwt import PyJWK, PyJWTError

from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.domain.strict_json import NotStrictJson, parse_strictly

FRESH_FOR: Final = timedelta(minutes=10)
BELIEVED_FOR: Final = timedelta(hours=24)
ASK_AT_MOST_EVERY: Final = timedelta(minutes=1)
LARGEST_KEY_SET: Final = 64 * 1024
_MOST_KEYS: Final = 100
_SMALLEST_RSA_BITS: Final = 2048
_ALGORITHM_BY_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_ALGORITHM_BY_CURVE.values()})
_log = structlog.get_logger(__name__)

Fetch = Callable[[], Awaitable[bytes]]
"""Gets the key set's text within two seconds and LARGEST_KEY_SET bytes; raises OSError or ValueError."""


class KeySet:
    """The keys by their ids. `monotonic` is a clock in seconds that never jumps."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK | None:
        """Return the key; None where the provider has none of that id. Unavailable where it was never reached."""
        if self._is_older_than(self._fetched_at, FRESH_FOR) or key_id not in self._keys:
            await self._refresh()
        if self._is_older_than(self._fetched_at, BELIEVED_FOR):
            raise Unavailable("the identity provider's keys cannot be had; try again shortly")
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        async with self._fetching:
            if not self._is_older_than(self._asked_at, ASK_AT_MOST_EVERY):
                return
            self._asked_at = self._monotonic()
            try:
                self._keys = usable_keys(await self._fetch())
                self._fetched_at = self._asked_at
            except (OSError, ValueError) as error:
                _log.warning("identity.keys_not_fetched", error=str(error))

    def _is_older_than(self, at: float | None, age: timedelta) -> bool:
        return at is None or self._monotonic() - at >= age.total_seconds()


def usable_keys(text: bytes) -> dict[str, PyJWK]:
    """Return the signature keys of a JWK set (RFC 7517) by id; ValueError where the text is no such set."""
    document = parse_strictly(text, deepest=8)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise NotStrictJson("not-json", "not a JWK set")
    keys = (_usable(item) for item in listed[:_MOST_KEYS])
    return {key_id: key for key_id, key in keys if key is not None}


def _usable(item: Any) -> tuple[str, PyJWK | None]:
    if not isinstance(item, dict) or not isinstance(item.get("kid"), str) or item.get("use", "sig") != "sig":
        return "", None
    if "d" in item:  # a private key has no place in public, and whoever published it has lost it
        return "", None
    usual = "RS256" if item.get("kty") == "RSA" else _ALGORITHM_BY_CURVE.get(str(item.get("crv")))
    algorithm = item.get("alg", usual)
    if algorithm not in _ALGORITHMS:
        return "", None
    try:
        key = PyJWK(item, algorithm=algorithm)
    except (PyJWTError, ValueError, KeyError, TypeError):
        return "", None
    if key.key_type == "RSA" and key.key.key_size < _SMALLEST_RSA_BITS:
        return "", None
    return item["kid"], key
