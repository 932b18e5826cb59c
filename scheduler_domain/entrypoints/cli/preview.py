"""`scheduler preview`: when a trigger fires, in words and as a table. Offline: no server, no settings.

Imports as little as it can, because a preview is what people run again and again: rich only where a table is drawn.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import click

from scheduler_domain.application.preview_trigger import (
    DEFAULT_COUNT,
    LARGEST_COUNT,
    Preview,
    bounded_count,
    preview_trigger,
    rule_to_preview,
)
from scheduler_domain.domain.triggers import (
    Cron,
    DstPolicy,
    Exclusions,
    FixedDelay,
    Instant,
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


class Refused(click.ClickException):
    """A trigger or flag that can not be accepted: one line on stderr."""

    exit_code = 2


class Moment(click.ParamType[datetime]):
    """An instant such as 2026-03-29T00:00:00Z; without an offset it is read as UTC."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return _instant(value)
        except ValueError:
            self.fail(f"{value!r}: an instant such as 2026-03-29T00:00:00Z is accepted", param, ctx)


@click.command(epilog="Example: scheduler preview --cron '0 9 * * 1-5' --tz Europe/Berlin --count 5")
@click.option("--cron", help="A cron expression of five fields, or six with seconds first.")
@click.option("--rrule", help="An RFC 5545 rule, or a block of DTSTART, RRULE, RDATE and EXDATE lines.")
@click.option("--dtstart", help="Where --rrule starts: a local time such as 2026-01-31T09:00:00.")
@click.option("--every", type=int, metavar="SECONDS", help="A fixed delay of elapsed seconds.")
@click.option("--at", "at", help="One shot: an instant, or a local time in --tz.")
@click.option("--tz", default="UTC", show_default=True, help="The zone whose wall clock counts.")
@click.option(
    "--gap", default="SHIFT", show_default=True, help="A local time that does not exist: SHIFT, FIRST_VALID, SKIP."
)
@click.option("--fold", default="FIRST", show_default=True, help="A local time that exists twice: FIRST, SECOND, BOTH.")
@click.option("--after", type=Moment(), help="Show what comes after this instant; now, if left out.")
@click.option(
    "--count", type=click.IntRange(1, LARGEST_COUNT), default=DEFAULT_COUNT, show_default=True, help="How many."
)
@click.option("--start", type=Moment(), help="The window's first instant.")
@click.option("--end", type=Moment(), help="The window's last instant.")
@click.option("--exclude-date", "dates", multiple=True, metavar="YYYY-MM-DD", help="Nothing on this date; repeatable.")
@click.option("--exclude-weekday", "weekdays", multiple=True, metavar="SA", help="Nothing on this weekday; repeatable.")
@click.option(
    "--exclude-holidays", "holidays", metavar="DE[-BE]", help="Nothing on public holidays of a country or part."
)
@click.option(
    "--roll", default="SKIP", show_default=True, help="Where an excluded one goes: SKIP, NEXT, PREVIOUS business day."
)
@click.option(
    "--batch", type=click.File("r", encoding="utf-8"), metavar="FILE|-", help="Answer NDJSON requests, a line each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def preview(
    cron: str | None,
    rrule: str | None,
    dtstart: str | None,
    every: int | None,
    at: str | None,
    tz: str,
    gap: str,
    fold: str,
    after: datetime | None,
    count: int,
    start: datetime | None,
    end: datetime | None,
    dates: tuple[str, ...],
    weekdays: tuple[str, ...],
    holidays: str | None,
    roll: str,
    batch: TextIO | None,
    as_json: bool,
) -> None:
    """Show when a trigger fires; offline."""
    if batch is not None:
        for answer in answer_requests(batch):
            click.echo(answer)
        return
    after = datetime.now(UTC) if after is None else after
    country, _, subdivision = (holidays or "").partition("-")
    exclude = Exclusions(dates, weekdays, country or None, subdivision or None, roll)
    trigger = _trigger_from_flags(cron, rrule, dtstart, every, at)
    spec = RuleSpec(
        trigger=trigger,
        tz=tz,
        created_at=after,
        dst=DstPolicy(gap, fold),
        exclude=None if exclude == Exclusions() else exclude,
        start_at=start,
        end_at=end,
    )
    try:
        found = preview_trigger(spec, after, count)
    except TriggerError as error:
        raise Refused(error.message) from None
    if as_json:
        click.echo(json.dumps(_as_json(found), ensure_ascii=False))
    else:
        _print_for_people(found)


def _trigger_from_flags(
    cron: str | None, rrule: str | None, dtstart: str | None, every: int | None, at: str | None
) -> Trigger:
    given: list[Trigger] = []
    if cron is not None:
        given.append(Cron(cron))
    if rrule is not None:
        given.append(Rrule(rrule.replace("\\n", "\n"), dtstart))
    if every is not None:
        given.append(FixedDelay(every))
    if at is not None:
        given.append(OneShot(at))
    if len(given) != 1:
        raise Refused("Give exactly one of --cron, --rrule, --every, --at or --batch.")
    if dtstart is not None and rrule is None:
        raise Refused("--dtstart goes with --rrule.")
    return given[0]


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
        occurrences = [_iso(at) for at in rule.instants(spec.created_at, count)]
    except TriggerError as error:
        return {"id": request.get("id"), "error": {"code": error.code, "message": error.message}}
    return {"id": request.get("id"), "occurrences": occurrences}


def _request(line: str) -> dict[str, Any]:
    try:
        if len(line) > _MOST_REQUEST_CHARACTERS:
            raise ValueError
        request = json.loads(line)
    except (ValueError, RecursionError):
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
        return _instant(value)
    except ValueError:
        raise TriggerError("bad-time", f"{name} must be an instant such as 2026-03-29T00:00:00Z.", name) from None


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("not a text")
    parsed = datetime.fromisoformat(value)
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the calendar") from None


def _iso(at: datetime) -> str:
    return at.isoformat().removesuffix("+00:00") + "Z"


def _as_json(found: Preview) -> dict[str, Any]:
    return {
        "words": found.words,
        "notes": [{"code": note.code, "message": note.message} for note in found.notes],
        "occurrences": [
            {
                "at": _iso(item.at),
                "local": item.local.isoformat(),
                "offset": _offset(item),
                "dst": item.dst,
                "excluded": item.excluded,
            }
            for item in found.items
        ],
    }


def _offset(item: Instant) -> str:
    seconds = (item.local - item.at.replace(tzinfo=None)) // timedelta(seconds=1)
    hours, rest = divmod(abs(seconds), 3600)
    minutes, odd = divmod(rest, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}" + (f":{odd:02}" if odd else "")


_DST_WORDS = {
    "SHIFTED": "clock goes forward: moved from {nominal}",
    "REPEATED": "clock goes back: this time exists twice",
}


def _print_for_people(found: Preview) -> None:
    click.echo(found.words + ".")
    for note in found.notes:
        click.echo(f"note: {note.message}")
    rows = [_row(item) for item in found.items]
    if not rows:
        click.echo("Nothing is due.")
    elif sys.stdout.isatty():
        _print_rich(rows, found)
    else:
        for row in rows:
            click.echo("  ".join(row).rstrip())


def _row(item: Instant) -> tuple[str, str, str, str, str]:
    notes = []
    if item.dst is not None:
        notes.append(_DST_WORDS[item.dst].format(nominal=item.nominal.partition("T")[2]))
    if item.excluded is not None:
        notes.append(f"excluded: {item.excluded}")
    return (
        item.local.isoformat(sep=" "),
        item.local.strftime("%a"),
        _offset(item),
        _iso(item.at),
        "; ".join(notes),
    )


def _print_rich(rows: list[tuple[str, str, str, str, str]], found: Preview) -> None:
    from rich.console import Console  # noqa: PLC0415 - half of this command's time, and only a terminal needs it
    from rich.table import Table  # noqa: PLC0415

    table = Table("local time", "day", "offset", "UTC", "note", box=None, pad_edge=False, header_style="bold")
    for row, item in zip(rows, found.items, strict=True):
        table.add_row(*row, style="strike dim" if item.excluded is not None else "yellow" if item.dst else None)
    Console().print(table)
