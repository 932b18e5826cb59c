"""A token taken apart, before anything in it is believed.

The library that checks signatures is lenient with the rest: it takes duplicate members, numbers as text, foreign header
parameters and several ways to write the same bytes. Each of these has been a way past somebody's checks (RFC 8725).
"""

import base64
import binascii
import re
from typing import Any, Final

from msgspec import Struct

from scheduler_domain.domain.strict_json import NotStrictJson, parse_strictly

LONGEST_TOKEN: Final = 8 * 1024
_DEEPEST: Final = 8
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid"})
_TYPES: Final = frozenset({"jwt", "at+jwt"})


class BadToken(ValueError):
    """The token is not one we accept. The text is for our own log, never for the one who sent it."""


class TokenParts(Struct, frozen=True):
    """`algorithm` and `key_id` are what the token says of itself; only our own configuration decides about them."""

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def token_parts(token: str) -> TokenParts:
    """Take a compact JWS apart; raise BadToken for anything but three canonical parts with plain content."""
    match = _TOKEN.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
    if match is None:
        raise BadToken("not three base64url parts")
    header = _object(match[1])
    if not header.keys() <= _HEADER_MEMBERS:
        raise BadToken("foreign header parameters")
    algorithm, key_id, token_type = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise BadToken("no algorithm")
    if not isinstance(token_type, str) or token_type.lower() not in _TYPES:
        raise BadToken("foreign type")
    if key_id is not None and not (isinstance(key_id, str) and _KEY_ID.fullmatch(key_id)):
        raise BadToken("malformed key id")
    signed = token.rpartition(".")[0].encode("ascii")
    return TokenParts(algorithm, key_id, _object(match[2]), signed, _bytes(match[3]))


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_strictly(_bytes(text), _DEEPEST)
    except NotStrictJson as error:
        raise BadToken(str(error)) from None
    if not isinstance(value, dict):
        raise BadToken("not an object")
    return value


def _bytes(text: str) -> bytes:
    """Decode base64url; the one spelling only, since spare bits would let one token have many texts."""
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise BadToken("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text.encode("ascii"):
        raise BadToken("not canonical base64url")
    return decoded
