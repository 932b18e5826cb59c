"""Bearer tokens to callers. One algorithm family per process: a shared secret or a key set, never both."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.domain.errors import Unauthenticated
from scheduler_domain.domain.roles import Caller
from scheduler_domain.infra.identity.claims import ClaimRules, caller_of_claims
from scheduler_domain.infra.identity.key_set import KeySet
from scheduler_domain.infra.identity.token_text import BadToken, TokenParts, token_parts

_REMEMBERED: Final = 10_000
_log = structlog.get_logger(__name__)


class Signatures(Protocol):
    async def check(self, parts: TokenParts) -> None:
        """Raise BadToken unless the signature is right by a key and algorithm of our own choice."""


class SharedSecret:
    """HS256 and nothing else (RFC 7518, section 3.2)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    async def check(self, parts: TokenParts) -> None:
        expected = hmac.digest(self._secret, parts.signed, hashlib.sha256)
        if parts.algorithm != "HS256" or not hmac.compare_digest(expected, parts.signature):
            raise BadToken("wrong signature")


class PublicKeys:
    """The key that the token names, with that key's own algorithm."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def check(self, parts: TokenParts) -> None:
        key = None if parts.key_id is None else await self._keys.key(parts.key_id)
        if key is None or parts.algorithm != key.algorithm_name:
            raise BadToken("unknown key")
        if not key.Algorithm.verify(parts.signed, key.key, parts.signature):
            raise BadToken("wrong signature")


class TokenVerifier:
    """The port application/ports/identity.py. Remembers whom a token speaks for until it expires, 10,000 at most."""

    def __init__(self, signatures: Signatures, rules: ClaimRules, clock: Clock) -> None:
        self._signatures = signatures
        self._rules = rules
        self._now: Callable[[], datetime] = clock.now
        self._remembered: dict[str, tuple[Caller, datetime]] = {}

    async def caller_of(self, token: str) -> Caller:
        now = self._now()
        remembered = self._remembered.get(token)
        if remembered is not None and now < remembered[1]:
            return remembered[0]
        try:
            parts = token_parts(token)
            await self._signatures.check(parts)
            caller, expires_at = caller_of_claims(parts.claims, self._rules, now)
        except BadToken as error:
            self._remembered.pop(token, None)
            _log.info("identity.token_refused", reason=str(error))
            raise Unauthenticated("a valid bearer token is required") from None
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[token] = (caller, expires_at)
        return caller
