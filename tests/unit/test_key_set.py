"""Keys of an identity provider: which are usable, and how long they are believed."""

import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from scheduler_domain.domain.errors import Unauthenticated, Unavailable
from scheduler_domain.infra.identity.claims import ClaimRules
from scheduler_domain.infra.identity.key_set import KeySet, usable_keys
from scheduler_domain.infra.identity.verifier import PublicKeys, TokenVerifier

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def jwk(key: Any, algorithm: Any, **more: Any) -> dict[str, Any]:
    return {**json.loads(algorithm.to_jwk(key.public_key())), **more}


RSA_JWK = jwk(RSA_KEY, RSAAlgorithm, kid="r")


class Provider:
    """An identity provider and a clock, both as the test wants them."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.is_away = False
        self.seconds = 0.0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.is_away:
            raise OSError("away")
        return json.dumps({"keys": self.keys}).encode()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW

    def verifier(self) -> TokenVerifier:
        rules = ClaimRules("iss", "aud", "tenant_id", "roles")
        return TokenVerifier(PublicKeys(KeySet(self.fetch, self.monotonic)), rules, self)


def token(key: Any, algorithm: str, key_id: str | None, **more: Any) -> str:
    issued_at = int(NOW.timestamp())
    claims = {"iss": "iss", "aud": "aud", "sub": "ada", "tenant_id": "acme", "iat": issued_at, "exp": issued_at + 60}
    return jwt.encode({**claims, **more}, key, algorithm, headers={} if key_id is None else {"kid": key_id})


@pytest.mark.parametrize(
    ("key", "algorithm", "published"),
    [
        (RSA_KEY, "RS256", RSA_JWK),
        (RSA_KEY, "PS384", jwk(RSA_KEY, RSAAlgorithm, kid="r", alg="PS384")),
        (EC_KEY, "ES256", jwk(EC_KEY, ECAlgorithm, kid="r")),
        (ED_KEY, "EdDSA", jwk(ED_KEY, OKPAlgorithm, kid="r", use="sig")),
    ],
)
async def test_a_token_is_checked_by_the_key_it_names(key: Any, algorithm: str, published: dict[str, Any]) -> None:
    caller = await Provider(published).verifier().caller_of(token(key, algorithm, "r"))
    assert (caller.tenant_id, caller.subject) == ("acme", "ada")


async def test_a_token_cannot_choose_its_algorithm() -> None:
    """The public key, used as if it were a shared secret, is the oldest way to forge a token."""
    verifier = Provider(RSA_JWK).verifier()
    with pytest.raises(Unauthenticated):
        await verifier.caller_of(token(RSA_KEY, "RS512", "r"))
    with pytest.raises(Unauthenticated):
        await verifier.caller_of(token("x" * 64, "HS256", "r"))
    with pytest.raises(Unauthenticated):
        await verifier.caller_of(token(RSA_KEY, "RS256", None))
    with pytest.raises(Unauthenticated):
        await verifier.caller_of(token(rsa.generate_private_key(65537, 2048), "RS256", "r"))


@pytest.mark.parametrize(
    "published",
    [
        {"kty": "oct", "kid": "r", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"},
        {"kty": "oct", "kid": "r", "alg": "HS256", "k": "eHh4"},
        {**RSA_JWK, "use": "enc"},
        {**RSA_JWK, "alg": "none"},
        {**RSA_JWK, "alg": "HS256"},
        {**RSA_JWK, "alg": "ES256"},
        {**RSA_JWK, "kid": 5},
        {name: value for name, value in RSA_JWK.items() if name != "kid"},
        json.loads(RSAAlgorithm.to_jwk(RSA_KEY)) | {"kid": "r"},
        jwk(rsa.generate_private_key(65537, 1024), RSAAlgorithm, kid="r"),  # noqa: S505 (weak on purpose)
        {**RSA_JWK, "n": "AQAB!"},
        "nonsense",
    ],
)
def test_a_key_that_is_weak_or_for_something_else_is_left_out(published: Any) -> None:
    assert usable_keys(json.dumps({"keys": [published]}).encode()) == {}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"keys": 5}', b'{"keys": [], "keys": []}', b"\xff", b"[" * 100])
def test_a_text_that_is_no_key_set_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        usable_keys(text)


async def test_keys_are_fresh_for_ten_minutes() -> None:
    provider = Provider(RSA_JWK)
    keys = KeySet(provider.fetch, provider.monotonic)
    for provider.seconds in (0, 300, 599):
        assert await keys.key("r") is not None
    assert provider.asked == 1
    provider.seconds = 600
    await keys.key("r")
    assert provider.asked == 2


async def test_an_unknown_key_is_asked_for_once_a_minute() -> None:
    provider = Provider(RSA_JWK)
    keys = KeySet(provider.fetch, provider.monotonic)
    for second in range(59):
        provider.seconds = second
        assert await keys.key(f"unknown-{second}") is None
    assert provider.asked == 1
    provider.keys.append(jwk(EC_KEY, ECAlgorithm, kid="new"))
    provider.seconds = 61
    assert await keys.key("new") is not None
    assert provider.asked == 2


async def test_old_keys_are_believed_for_a_day_while_the_provider_is_away() -> None:
    provider = Provider(RSA_JWK)
    keys = KeySet(provider.fetch, provider.monotonic)
    await keys.key("r")
    provider.is_away = True
    provider.seconds = 86_399
    assert await keys.key("r") is not None
    provider.seconds = 86_400 + 61
    with pytest.raises(Unavailable):
        await keys.key("r")


async def test_without_any_keys_nothing_can_be_said_of_a_token() -> None:
    provider = Provider(RSA_JWK)
    provider.is_away = True
    with pytest.raises(Unavailable):
        await provider.verifier().caller_of(token(RSA_KEY, "RS256", "r"))
