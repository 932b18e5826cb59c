"""Trace context of a delivery: computed from the occurrence, so every dispatcher and every log names the same trace.

Without this, what a receiver sees in its traces could not be found again in the ledger. The trace id is the
occurrence's id, so neither has to be looked up to find the other.
"""

from uuid import UUID

_OCTETS = tuple(f"{number:02x}" for number in range(256))  # each delivery needs one: looked up, not formatted


def trace_id(occurrence_id: UUID) -> str:
    """Return the trace id of an occurrence: its own 32 hex digits."""
    return occurrence_id.hex


def span_id(occurrence_id: UUID, attempt: int) -> str:
    """Return the span id of one attempt (from 1): half of its occurrence's id, ending in the number.

    Never all zero, which the standard forbids, because the variant bits of a UUID are in it.

    >>> span_id(UUID("019e5a00-0000-8000-8000-00000000abcd"), 1)
    '800000000000ab01'
    """
    return f"{occurrence_id.hex[16:30]}{_OCTETS[attempt & 0xFF]}"


def traceparent(occurrence_id: UUID, attempt: int, *, is_recorded: bool) -> str:
    """Return the W3C Trace Context header (level 1, §3.2) that a target receives with an attempt.

    `is_recorded` says whether a span of the attempt is kept, and is the header's sampled flag (decision 0013).

    >>> traceparent(UUID("019e5a00-0000-8000-8000-00000000abcd"), 2, is_recorded=True)
    '00-019e5a0000008000800000000000abcd-800000000000ab02-01'
    """
    digits = occurrence_id.hex
    return f"00-{digits}-{digits[16:30]}{_OCTETS[attempt & 0xFF]}-{'01' if is_recorded else '00'}"
