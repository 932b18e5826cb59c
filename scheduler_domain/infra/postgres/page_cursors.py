"""Page cursors: where a list goes on, as text that clients pass back and need not understand."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from scheduler_domain.domain.errors import InvalidField

_decode = msgspec.json.Decoder(tuple[str, str, str]).decode


def cursor_text(order: str, value: str, item_id: str) -> str:
    """Return the cursor after an item: the order it is of, the item's place in that order, and its id."""
    return base64.urlsafe_b64encode(msgspec.json.encode((order, value, item_id))).decode().rstrip("=")


def cursor_place(text: str, order: str) -> tuple[str, UUID]:
    """Return the place and the id that a cursor names; InvalidField if it is not one of this list and order."""
    value, item_id = _decoded(text, order)
    try:
        return value, UUID(item_id)
    except ValueError:
        raise refused_cursor() from None


def named_place(text: str, order: str) -> str:
    """Return the place that a cursor names in a list whose items are told apart by their place alone."""
    return _decoded(text, order)[0]


def cursor_instant(value: str) -> datetime:
    """Return the place of a cursor as the instant it was made of."""
    try:
        instant = datetime.fromisoformat(value)
        in_utc = instant.astimezone(UTC)  # what this cannot express, the driver could not send
    except (ValueError, OverflowError):
        raise refused_cursor() from None
    if instant.tzinfo is None:
        raise refused_cursor()
    return in_utc


def refused_cursor() -> InvalidField:
    return InvalidField.at(
        "/query/cursor", "invalid-cursor", "pass a nextCursor as it was answered, with the same sort and filters"
    )


def _decoded(text: str, order: str) -> tuple[str, str]:
    try:
        named_order, value, item_id = _decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.MsgspecError):
        raise refused_cursor() from None
    if named_order != order or "\x00" in value:
        raise refused_cursor()
    return value, item_id
