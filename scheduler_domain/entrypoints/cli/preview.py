"""`scheduler preview`: when a trigger fires, in words and as a table. Offline: no server, no settings.

Imports as little as it can, because a preview is what people run again and again: rich only where a table is drawn.
"""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import click

from scheduler_domain.application.preview_trigger import (
    DEFAULT_COUNT,
    LARGEST_COUNT,
    Preview,
    preview_trigger,
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
from scheduler_domain.entrypoints.cli.definition import Elapsed
from scheduler_domain.entrypoints.cli.preview_batch import answer_requests, parse_instant, show_instant


class Refused(click.ClickException):
    """A trigger or flag that can not be accepted: one line on stderr."""

    exit_code = 2


class Moment(click.ParamType[datetime]):
    """An instant such as 2026-03-29T00:00:00Z; without an offset it is read as UTC.

    From 1900 to 2200: what is shown beside it in local time then stays within the calendar, whatever the zone.
    """

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        instant = None
        with suppress(ValueError):
            instant = parse_instant(value)
        if instant is None or not 1900 <= instant.year <= 2200:
            self.fail(f"{value!r}: an instant such as 2026-03-29T00:00:00Z, from 1900 to 2200, is accepted", param, ctx)
        return instant


@click.command(epilog="Example: scheduler preview --cron '0 9 * * 1-5' --tz Europe/Berlin --count 5")
@click.option("--cron", help="A cron expression of five fields, or six with seconds first.")
@click.option("--rrule", help="An RFC 5545 rule, or a block of DTSTART, RRULE, RDATE and EXDATE lines.")
@click.option("--dtstart", help="Where --rrule starts: a local time such as 2026-01-31T09:00:00.")
@click.option("--every", type=Elapsed(), help="A fixed delay of elapsed time, as 90s, 15m, 2h, 1d.")
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
    "--batch",
    type=click.File("r", encoding="utf-8", errors="surrogateescape"),  # what is not UTF-8 is refused with its line
    metavar="FILE|-",
    help="Answer NDJSON requests, a line each.",
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


def _as_json(found: Preview) -> dict[str, Any]:
    return {
        "words": found.words,
        "notes": [{"code": note.code, "message": note.message} for note in found.notes],
        "occurrences": [
            {
                "at": show_instant(item.at),
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
        show_instant(item.at),
        "; ".join(notes),
    )


def _print_rich(rows: list[tuple[str, str, str, str, str]], found: Preview) -> None:
    from rich.console import Console  # noqa: PLC0415 - half of this command's time, and only a terminal needs it
    from rich.table import Table  # noqa: PLC0415

    table = Table("local time", "day", "offset", "UTC", "note", box=None, pad_edge=False, header_style="bold")
    for row, item in zip(rows, found.items, strict=True):
        table.add_row(*row, style="strike dim" if item.excluded is not None else "yellow" if item.dst else None)
    Console().print(table)
