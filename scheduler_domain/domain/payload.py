"""What a target receives: the tenant's payload with its `${places}` filled, or the standard envelope.

Places are filled in the JSON text itself, each value escaped as JSON string content, so a payload is parsed once
when it is saved and never on its way out. The instant of firing is the one value not known when an occurrence is
claimed: a body is kept as the pieces around it, and `fired_at.join(pieces)` finishes it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from scheduler_domain.domain.triggers import wall_time

PLACE_NAMES = frozenset(
    {
        "tenantId",
        "scheduleId",
        "scheduleName",
        "key",
        "occurrenceId",
        "scheduledFor",
        "firedAt",
        "localDate",
        "localTime",
        "tz",
        "attempt",
    }
)
FIRED_AT_LENGTH = len("2026-11-22T09:00:00.000000Z")
_PLACE = re.compile(r"\$(?:\$|\{([^{}\"\\]*)\}|)")
_FIRED_AT_MARK = "\x00"
_NO_PAYLOAD = b"null"
_DOLLAR = ord("$")  # a byte is found several times sooner than bytes are


class BodySource(msgspec.Struct, frozen=True, gc=False):
    """All that a body may speak of."""

    tenant_id: str
    schedule_id: UUID
    schedule_name: str
    key: str | None
    tz: str
    occurrence_id: UUID
    scheduled_for: datetime
    attempt: int


def unknown_places(text: str, known: frozenset[str] = PLACE_NAMES) -> list[str]:
    """Return the names in `${…}` that nothing will fill, in order; `$$` is a literal dollar.

    >>> unknown_places("Hello ${tenantId}, ${nmae}, $$5")
    ['nmae']
    """
    return [match[1] for match in _PLACE.finditer(text) if match[1] is not None and match[1] not in known]


def is_fixed(payload: bytes) -> bool:
    """True of a payload (JSON text) that is the body of every occurrence as it stands: most are."""
    return _DOLLAR not in payload and payload != _NO_PAYLOAD


def body_pieces(payload: bytes, source: BodySource) -> tuple[bytes, ...]:
    """Return the body around each mention of the firing instant; `payload` is JSON text, null for the envelope."""
    if payload == _NO_PAYLOAD:
        return _envelope_pieces(source)
    if is_fixed(payload):
        return (payload,)
    filled = fill(payload.decode(), source, _json_escaped)
    return tuple(piece.encode() for piece in filled.split(_FIRED_AT_MARK))


def fill(text: str, source: BodySource, escape: Callable[[str], str]) -> str:
    """Fill the places of `text`; the firing instant becomes a NUL mark, which no stored text can contain."""
    value_of = _places(source)

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if name == "firedAt":
            return _FIRED_AT_MARK
        return escape(value_of(name))

    return _PLACE.sub(value, text)


def instant_text(at: datetime) -> str:
    """Return RFC 3339 UTC with as many fraction digits as the instant has: none, or six.

    >>> instant_text(datetime(2026, 11, 22, 9, tzinfo=UTC))
    '2026-11-22T09:00:00Z'
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def fired_at_text(at: datetime) -> bytes:
    """Return the firing instant, always `FIRED_AT_LENGTH` bytes, so that frames can be sized ahead.

    To the microsecond, the grain of a due instant: cut any shorter, a message could say that it fired early.
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds").encode() + b"Z"


def _envelope_pieces(source: BodySource) -> tuple[bytes, bytes]:
    before = (
        f'{{"tenantId":"{source.tenant_id}","scheduleId":"{source.schedule_id}","scheduleName":'.encode()
        + msgspec.json.encode(source.schedule_name)
        + f',"occurrenceId":"{source.occurrence_id}","scheduledFor":"{instant_text(source.scheduled_for)}",'
        f'"firedAt":"'.encode()
    )
    return before, f'","attempt":{source.attempt}}}'.encode()


def _places(source: BodySource) -> Callable[[str], str]:
    local = wall_time(source.scheduled_for, source.tz)
    values = {
        "tenantId": source.tenant_id,
        "scheduleId": str(source.schedule_id),
        "scheduleName": source.schedule_name,
        "key": source.key or "",
        "occurrenceId": str(source.occurrence_id),
        "scheduledFor": instant_text(source.scheduled_for),
        "localDate": local.date().isoformat(),
        "localTime": local.time().isoformat(timespec="seconds"),
        "tz": source.tz,
        "attempt": str(source.attempt),
    }
    return values.__getitem__


def _json_escaped(value: str) -> str:
    return msgspec.json.encode(value).decode()[1:-1]
