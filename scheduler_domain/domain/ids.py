"""Identifiers. An occurrence's id is computed, never drawn: whoever plans it twice makes the same one.

That single fact carries exactly-once planning, `Nats-Msg-Id`, `Idempotency-Key` and de-duplication at the receiver.
"""

from datetime import datetime
from hashlib import blake2b
from uuid import UUID

_LAST_48_BIT_MILLISECOND = (1 << 48) - 1
_VARIANT = 0b10 << 62


def occurrence_id(tenant_id: str, schedule_id: UUID, kind: str, nominal: str, order_ms: int) -> UUID:
    """Return the UUIDv8 (RFC 9562 §5.8) of an occurrence: 48 bits of nominal time, 74 bits of digest.

    A pure function of (tenant, schedule, kind, nominal). `order_ms` only makes ids sort by nominal time; it is
    itself a function of `nominal`, so a zone whose offset changes moves the instant and keeps the id.

    >>> occurrence_id("acme", UUID(int=1), "SCHEDULED", "2026-11-22T09:00:00", 1795338000000).version
    8
    """
    digest = blake2b(f"{tenant_id}|{kind}|{nominal}|".encode() + schedule_id.bytes, digest_size=10).digest()
    noise = int.from_bytes(digest, "big")
    return _compose(order_ms, version=8, noise=noise)


def schedule_id(created_at: datetime, entropy: bytes) -> UUID:
    """Return a UUIDv7 (RFC 9562 §5.7); `entropy` is 10 random bytes from the caller."""
    return _compose(int(created_at.timestamp() * 1000), version=7, noise=int.from_bytes(entropy[:10], "big"))


def first_id_at(milliseconds: int) -> UUID:
    """Return the smallest id whose time part is `milliseconds`: the bound of an id-ordered range."""
    return UUID(int=min(max(milliseconds, 0), _LAST_48_BIT_MILLISECOND) << 80)


def _compose(milliseconds: int, version: int, noise: int) -> UUID:
    time_part = min(max(milliseconds, 0), _LAST_48_BIT_MILLISECOND) << 80
    middle = (noise >> 62) & 0xFFF
    return UUID(int=time_part | version << 76 | middle << 64 | _VARIANT | noise & ((1 << 62) - 1))
