"""`scheduler templates`: schedules from templates, one by one or a file of them."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.entrypoints.cli.api_client import ApiClient, path_segment
from scheduler_domain.entrypoints.cli.definition import parsed_json
from scheduler_domain.entrypoints.cli.instance_file import FileLine, read_lines
from scheduler_domain.entrypoints.cli.output import print_fields, print_json, print_table
from scheduler_domain.entrypoints.cli.words import instant_row

LINES_A_REQUEST: Final = 5_000
_MOST_SHOWN: Final = 50
_STATUSES: Final = ("created", "changed", "unchanged", "failed")
json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers.")
name_argument = click.argument("name")


@click.group()
def templates() -> None:
    """Make schedules from templates, by the file.

    SCHEDULER_URL, SCHEDULER_TOKEN and SCHEDULER_TENANT say which API, as whom, and for which tenant.
    """


@templates.command("list", epilog="Example: scheduler templates list")
@json_flag
def list_templates(as_json: bool) -> None:
    """List the built-in templates, then your own."""
    with ApiClient.from_environment() as api:
        page = api.request("GET", "/templates", params={"pageSize": 200})
    if as_json:
        print_json(page)
        return
    rows = [
        (item["name"], item["version"], "built in" if item["builtIn"] else "", item["title"]) for item in page["items"]
    ]
    print_table(("NAME", "VERSION", "", "TITLE"), rows)


@templates.command(epilog="Example: scheduler templates show birthday")
@name_argument
@json_flag
def show(name: str, as_json: bool) -> None:
    """Show what a template asks for and makes of it."""
    with ApiClient.from_environment() as api:
        template = api.request("GET", _path(name))
    if as_json:
        print_json(template)
        return
    print_fields(_fields(template))
    click.echo()
    required = set(template["parameters"].get("required", ()))
    rows = [_parameter_row(key, known, key in required) for key, known in template["parameters"]["properties"].items()]
    print_table(("PARAMETER", "TYPE", "", "DESCRIPTION"), rows)
    click.echo(f"\n{json.dumps(template['blueprint'], ensure_ascii=False, indent=2)}")


@templates.command(epilog="Example: scheduler templates preview birthday -p firstName=Ada -p dateOfBirth=1988-02-29 …")
@name_argument
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--count", type=click.IntRange(1, 1_000), default=5, show_default=True, help="How many instants.")
@json_flag
def preview(name: str, parameters: tuple[str, ...], count: int, as_json: bool) -> None:
    """Show what an instance would be; nothing is stored."""
    given = dict(_pair(text) for text in parameters)
    with ApiClient.from_environment() as api:
        body = {"parameters": given, "count": count}
        answer = api.request("POST", f"{_path(name)}/preview", body=body)
    if as_json:
        print_json(answer)
        return
    click.echo(answer["words"])
    for note in answer["notes"]:
        click.echo(f"note: {note['message']}")
    click.echo(f"payload: {json.dumps(answer['schedule']['payload'], ensure_ascii=False)}")
    print_table(("LOCAL TIME", "OFFSET", "INSTANT", "NOTE"), map(instant_row, answer["occurrences"]))


@dataclass
class Tally:
    """How the lines of a file ended."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("created", "changed", "unchanged", "failed"), 0)
    )
    shown_count: int = 0

    def add(self, chunk: list[FileLine], answered: list[dict[str, Any]], *, as_json: bool) -> None:
        *results, last = answered
        for name, count in last["summary"].items():
            self.counts[name] += count
        for result in results:
            self._tell({**result, "line": chunk[result["line"] - 1].number}, as_json=as_json)
        if last["aborted"] is not None:
            raise SchedulerError(last["aborted"]["message"])

    def _tell(self, result: dict[str, Any], *, as_json: bool) -> None:
        self.shown_count += 1
        if as_json:
            click.echo(json.dumps(result, ensure_ascii=False))
        elif self.shown_count <= _MOST_SHOWN:
            why = "; ".join(f"{error['pointer'] or '/'}: {error['message']}" for error in result["errors"])
            click.echo(f"line {result['line']} ({result.get('key') or 'no key'}): {why}", err=True)


@templates.command("apply", epilog="Example: scheduler templates apply birthday people.csv --key customer_number")
@name_argument
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", metavar="COLUMN", help="The column, or member, that tells your lines apart.  [default: key]")
@click.option("--ignore", "ignored", multiple=True, metavar="COLUMN", help="Leave a column out; repeatable.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a line for each that failed, and the counts.")
def apply_file(name: str, file: Path, key: str | None, ignored: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Make or change an instance for each line of a file.

    FILE ends in .csv, .ndjson or .jsonl.

    A CSV's columns go to the parameters of the same names: first_name to firstName. What says nothing new changes
    nothing, so a run that broke off is simply run again. Lines that are refused stop no others.
    """
    tally = Tally()
    with ApiClient.from_environment() as api, _progress(file) as seen:
        schema = api.request("GET", _path(name))["parameters"]
        query = {"results": "failed", "dryRun": "true" if dry_run else "false"}
        for chunk in _chunks(read_lines(file, schema, key, ignored, seen)):
            body = b"\n".join(line.text for line in chunk)
            try:
                tally.add(chunk, api.send_lines(f"{_path(name)}/instances:batch", body, params=query), as_json=as_json)
            except SchedulerError as error:
                went_on = f"lines before {chunk[0].number} are done; the same command goes on from there"
                raise SchedulerError(f"{error}\n{went_on}") from error
    _conclude(tally, dry_run=dry_run, as_json=as_json)


def _conclude(tally: Tally, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"summary": tally.counts, "dryRun": dry_run}))
    else:
        if tally.shown_count > _MOST_SHOWN:
            click.echo(f"and {tally.shown_count - _MOST_SHOWN} more; --json prints each", err=True)
        counts = ", ".join(f"{count:,} {name}" for name, count in tally.counts.items())
        click.echo(f"would be: {counts}" if dry_run else counts)
    if tally.counts["failed"]:
        raise click.exceptions.Exit(1)


def _chunks(lines: Iterator[FileLine]) -> Iterator[list[FileLine]]:
    chunk: list[FileLine] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == LINES_A_REQUEST:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None]]:
    """Show how much of the file has been read, to a person."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  # only where a bar is drawn: rich is a sixth of a command's start
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(file.name, total=file.stat().st_size)
        yield lambda count: bar.advance(task, count)
        bar.update(task, completed=file.stat().st_size)


def _fields(template: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "name", template["name"]
    yield "title", template["title"] or None
    yield "description", template["description"] or None
    yield "version", template["version"]
    yield "whose", _whose(template) or None
    replanning = template["replanning"]
    if replanning is not None:
        failed = f", {replanning['failed']:,} stayed behind" if replanning["failed"] else ""
        yield "replanning", f"{replanning['done']:,} of {replanning['total']:,} instances{failed}"


def _whose(template: dict[str, Any]) -> str:
    return "built in" if template["builtIn"] else ""


def _parameter_row(name: str, known: dict[str, Any], is_required: bool) -> tuple[object, ...]:
    kind = " | ".join(map(str, known["enum"])) if "enum" in known else known.get("format") or known.get("type")
    wanted = "required" if is_required else f"default {json.dumps(known['default'])}" if "default" in known else ""
    return name, kind, wanted, known.get("description")


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"-p {text}: NAME=VALUE is accepted")
    if value[:1] in {"{", "["}:
        try:
            return name, parsed_json(value)
        except ValueError as error:
            raise click.UsageError(f"-p {name}: {error}") from error
    return name, value


def _path(name: str) -> str:
    return f"/templates/{path_segment(name)}"
