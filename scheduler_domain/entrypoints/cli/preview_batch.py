"""`scheduler preview --batch`: NDJSON requests in, NDJSON answers out, in the same order, one for each line.

A line that is no request is answered like a trigger that is refused, with a code and a message: a batch never ends
early, and never with a traceback.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from scheduler_domain.application.preview_trigger import DEFAULT_COUNT, LARGEST_COUNT, bounded_count, rule_to_preview
from scheduler_domain.domain.strict_json import parse_strictly
from scheduler_domain.domain.triggers import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    OneShot,
    Rrule,
    RuleSpec,
    Trigger,
    TriggerError,
)

_REQUEST_FIELDS = frozenset(
    ("id", "trigger", "tz", "after", "count", "dst", "startAt", "endAt", "maxRuns", "lastCompletedAt", "exclude")
)
_MOST_REQUEST_CHARACTERS = 262_144
_DEEPEST_REQUEST = 16


def answer_requests(lines: Iterable[str]) -> Iterator[str]:
    """Yield one NDJSON answer for each request line, in order; a bad line is answered, never raised."""
    for line in lines:
        if line.strip():
            yield json.dumps(_answer(line), ensure_ascii=False, separators=(",", ":"))


def _answer(line: str) -> dict[str, Any]:
    request: dict[str, Any] = {}
    try:
        request = _request(line)
        spec = _spec(request)
        rule = rule_to_preview(spec, _optional_instant(request, "lastCompletedAt"))
        count = bounded_count(_whole(request, "count", DEFAULT_COUNT), _whole(request, "maxRuns", LARGEST_COUNT))
        occurrences = [show_instant(at) for at in rule.instants(spec.created_at, count)]
    except TriggerError as error:
        return {"id": request.get("id"), "error": {"code": error.code, "message": error.message}}
    return {"id": request.get("id"), "occurrences": occurrences}


def _request(line: str) -> dict[str, Any]:
    try:
        if len(line) > _MOST_REQUEST_CHARACTERS:
            raise ValueError
        request = parse_strictly(line.encode(), _DEEPEST_REQUEST)
    except ValueError:
        raise TriggerError("bad-request", "A request is one JSON object on one line.", "") from None
    if not isinstance(request, dict):
        raise TriggerError("bad-request", "A request is one JSON object on one line.", "")
    return request


def _spec(request: dict[str, Any]) -> RuleSpec:
    unknown = sorted(set(request) - _REQUEST_FIELDS)
    if unknown:
        raise TriggerError(
            "unknown-field",
            f"Unknown field {unknown[0][:40]!r}; known: {', '.join(sorted(_REQUEST_FIELDS))}.",
            unknown[0],
        )
    dst = _fields(request, "dst", {"gap": str, "fold": str})
    return RuleSpec(
        trigger=_trigger(request),
        tz=_text(request, "tz", "UTC"),
        created_at=_optional_instant(request, "after") or datetime.now(UTC),
        dst=DstPolicy(dst.get("gap", "SHIFT"), dst.get("fold", "FIRST")),
        exclude=_exclusions(request),
        start_at=_optional_instant(request, "startAt"),
        end_at=_optional_instant(request, "endAt"),
    )


def _trigger(request: dict[str, Any]) -> Trigger:
    kind = request["trigger"].get("type") if isinstance(request.get("trigger"), dict) else None
    match kind:
        case "CRON":
            return Cron(**_fields(request, "trigger", {"type": str, "cron": str}, {"cron": "cron"}))
        case "RRULE":
            texts = {"type": str, "rrule": str, "dtstart": str}
            return Rrule(**_fields(request, "trigger", texts, {"rrule": "rrule", "dtstart": "dtstart"}))
        case "FIXED_DELAY":
            mixed: dict[str, type] = {"type": str, "delaySec": int, "anchor": str}
            return FixedDelay(**_fields(request, "trigger", mixed, {"delaySec": "delay_sec", "anchor": "anchor"}))
        case "ONE_SHOT":
            texts = {"type": str, "startAt": str, "ifPast": str}
            return OneShot(**_fields(request, "trigger", texts, {"startAt": "start_at", "ifPast": "if_past"}))
    raise TriggerError("trigger-type", "trigger.type must be CRON, RRULE, FIXED_DELAY or ONE_SHOT.", "trigger.type")


def _exclusions(request: dict[str, Any]) -> Exclusions | None:
    if request.get("exclude") is None:
        return None
    fields = _fields(request, "exclude", {"dates": list, "weekdays": list, "holidays": dict, "roll": str})
    holidays = _fields(fields, "holidays", {"country": str, "subdivision": str})
    for name in ("dates", "weekdays"):
        if not all(isinstance(item, str) for item in fields.get(name, [])):
            raise TriggerError("bad-request", f"exclude.{name} must be a list of texts.", f"exclude.{name}")
    return Exclusions(
        dates=tuple(fields.get("dates", ())),
        weekdays=tuple(fields.get("weekdays", ())),
        country=holidays.get("country"),
        subdivision=holidays.get("subdivision"),
        roll=fields.get("roll", "SKIP"),
    )


def _fields(
    request: dict[str, Any], name: str, types: Mapping[str, type], renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return an object's fields that are not null, checked by type; with `renamed`, only those, under other names."""
    value = request.get(name)
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise TriggerError("bad-request", f"{name} must be an object.", name)
    for field, content in value.items():
        wanted = types.get(field)
        if wanted is None:
            raise TriggerError(
                "unknown-field",
                f"Unknown field {name}.{field[:40]}; known: {', '.join(types)}.",
                f"{name}.{field[:40]}",
            )
        if content is not None and (not isinstance(content, wanted) or isinstance(content, bool)):
            raise TriggerError("bad-request", f"{name}.{field} must be of type {wanted.__name__}.", f"{name}.{field}")
    given = {field: content for field, content in value.items() if content is not None}
    if renamed is None:
        return given
    required = next(iter(renamed))
    if required not in given:
        raise TriggerError("bad-request", f"{name}.{required} is missing.", f"{name}.{required}")
    return {renamed[field]: content for field, content in given.items() if field in renamed}


def _text(request: dict[str, Any], name: str, default: str) -> str:
    value = request.get(name, default)
    if not isinstance(value, str):
        raise TriggerError("bad-request", f"{name} must be a text.", name)
    return value


def _whole(request: dict[str, Any], name: str, default: int) -> int:
    value = request.get(name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not value >= 1:
        raise TriggerError("bad-request", f"{name} must be a whole number of at least 1.", name)
    if name == "count" and value > LARGEST_COUNT:
        raise TriggerError("bad-request", f"count must be at most {LARGEST_COUNT:,}.", name)
    return value


def _optional_instant(request: dict[str, Any], name: str) -> datetime | None:
    value = request.get(name)
    if value is None:
        return None
    try:
        return parse_instant(value)
    except ValueError:
        raise TriggerError("bad-time", f"{name} must be an instant such as 2026-03-29T00:00:00Z.", name) from None


def parse_instant(value: object) -> datetime:
    """Return an instant of a text, in UTC; without an offset it is read as UTC. ValueError where it is none."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("not a text")
    parsed = datetime.fromisoformat(value)
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the calendar") from None


def show_instant(at: datetime) -> str:
    """Return an instant as RFC 3339 with `Z`, with microseconds only where it has some."""
    return at.isoformat().removesuffix("+00:00") + "Z"
