"""`scheduler schedules`: the API's schedules from a shell."""

from typing import Any

import click

from scheduler_domain.entrypoints.cli.api_client import ApiClient
from scheduler_domain.entrypoints.cli.definition import Flags, definition_flags, definition_from
from scheduler_domain.entrypoints.cli.output import print_fields, print_json, print_table
from scheduler_domain.entrypoints.cli.words import instant_row, occurrence_fields, schedule_fields, trigger_in_short

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers.")
reference_argument = click.argument("schedule", metavar="ID|KEY")


@click.group()
def schedules() -> None:
    """Create, read and change schedules over the API.

    SCHEDULER_URL, SCHEDULER_TOKEN and SCHEDULER_TENANT say which API, as whom, and for which tenant.
    """


@schedules.command("list", epilog="Example: scheduler schedules list --state ACTIVE --label team=billing")
@click.option("--state", type=click.Choice(["ACTIVE", "PAUSED", "COMPLETED", "DISABLED"]), help="Only these.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only with this label; repeatable.")
@click.option("-q", "--search", help="Only where name or key contain this.")
@click.option("--trigger", type=click.Choice(["CRON", "RRULE", "FIXED_DELAY", "ONE_SHOT"]), help="Only these.")
@click.option("--target-kind", type=click.Choice(["EVENT", "HTTP", "QUEUE"]), help="Only these.")
@click.option("--sort", help="nextFireAt, name or createdAt; with - before it, descending.")
@click.option("--page", type=click.IntRange(1), help="Which page.  [default: 1]")
@click.option("--page-size", type=click.IntRange(1, 200), help="How many a page.  [default: 20]")
@json_flag
def list_schedules(labels: tuple[str, ...], as_json: bool, **filters: Any) -> None:
    """List schedules."""
    wire = {"search": "q", "target_kind": "targetKind", "page_size": "pageSize"}
    query = [(wire.get(name, name), str(value)) for name, value in filters.items() if value is not None]
    query += [("label", label.replace("=", ":", 1)) for label in labels]
    with ApiClient.from_environment() as api:
        page = api.request("GET", "/schedules", params=query)
    if as_json:
        print_json(page)
        return
    columns = ("ID", "KEY", "NAME", "TRIGGER", "TARGET", "STATE", "NEXT")
    print_table(columns, [_row(schedule) for schedule in page["items"]])
    if len(page["items"]) < page["total"]:
        click.echo(f"page {page['page']}, {len(page['items'])} of {page['total']} schedules", err=True)


def _row(schedule: dict[str, Any]) -> tuple[object, ...]:
    names = ("id", "key", "name")
    return (
        *(schedule[name] for name in names),
        trigger_in_short(schedule["trigger"]),
        schedule["target"]["kind"],
        schedule["state"],
        schedule["nextFireAt"],
    )


@schedules.command(epilog="Example: scheduler schedules get daily-report --json")
@reference_argument
@json_flag
def get(schedule: str, as_json: bool) -> None:
    """Show one schedule."""
    with ApiClient.from_environment() as api:
        _show(api.request("GET", api.schedule_path(schedule)), as_json)


@schedules.command(
    epilog="Example: scheduler schedules create --name Report --cron '0 9 * * 1-5' --tz Asia/Tokyo --event report"
)
@definition_flags
@json_flag
def create(as_json: bool, **flags: Any) -> None:
    """Create a schedule from flags, or from a JSON file with -f.

    It needs a name, a trigger (--cron, --rrule, --every or --at) and a target (--event, --http or --queue).
    """
    from_file = flags.get("file") is not None
    definition = definition_from(flags)
    wanted = {"name": "--name", "trigger": "--cron, --rrule, --every or --at", "target": "--event, --http or --queue"}
    missing = [flag for name, flag in wanted.items() if name not in definition]
    if missing and not from_file:
        raise click.UsageError(f"missing {'; '.join(missing)}")
    with ApiClient.from_environment() as api:
        _show(api.request("POST", "/schedules", body=definition), as_json)


@schedules.command(epilog="Example: scheduler schedules update daily-report --cron '30 9 * * 1-5'")
@reference_argument
@definition_flags
@click.option("--if-version", type=int, help="Only if nobody has changed it since this version.")
@json_flag
def update(schedule: str, if_version: int | None, as_json: bool, **flags: Flags) -> None:
    """Change what the flags name; the rest stays.

    With -f, FILE holds a JSON merge patch (RFC 7396).
    """
    patch = definition_from(flags)
    if not patch:
        raise click.UsageError("nothing to change: name at least one flag, or -f")
    headers = {} if if_version is None else {"If-Match": f'"{if_version}"'}
    with ApiClient.from_environment() as api:
        _show(api.request("PATCH", api.schedule_path(schedule), body=patch, headers=headers), as_json)


@schedules.command(epilog="Example: scheduler schedules delete daily-report")
@reference_argument
def delete(schedule: str) -> None:
    """Delete a schedule.

    Once this returns, nothing of it fires any more.
    """
    with ApiClient.from_environment() as api:
        api.request("DELETE", api.schedule_path(schedule))
    click.echo(f"deleted {schedule}")


@schedules.command(epilog="Example: scheduler schedules pause daily-report --reason 'maintenance'")
@reference_argument
@click.option("--reason", help="Shown with the schedule.")
@click.option("--resume-at", metavar="INSTANT", help="Resume by itself then, as 2027-01-01T09:00:00Z.")
@json_flag
def pause(schedule: str, reason: str | None, resume_at: str | None, as_json: bool) -> None:
    """Stop it from firing until it is resumed."""
    given = {"reason": reason, "resumeAt": resume_at}
    body = {name: value for name, value in given.items() if value is not None}
    with ApiClient.from_environment() as api:
        _show(api.request("POST", f"{api.schedule_path(schedule)}/pause", body=body), as_json)


@schedules.command(epilog="Example: scheduler schedules resume daily-report --catch-up")
@reference_argument
@click.option("--catch-up", is_flag=True, help="Treat what the pause covered as missed: its misfire policy decides.")
@json_flag
def resume(schedule: str, catch_up: bool, as_json: bool) -> None:
    """Let a paused schedule fire again, from now on."""
    with ApiClient.from_environment() as api:
        body = {"catchUp": True} if catch_up else {}
        _show(api.request("POST", f"{api.schedule_path(schedule)}/resume", body=body), as_json)


@schedules.command(epilog="Example: scheduler schedules trigger daily-report")
@reference_argument
@json_flag
def trigger(schedule: str, as_json: bool) -> None:
    """Fire it once, now, paused or not; its plan stays as it is."""
    with ApiClient.from_environment() as api:
        occurrence = api.request("POST", f"{api.schedule_path(schedule)}/trigger", body={})
    if as_json:
        print_json(occurrence)
    else:
        print_fields(occurrence_fields(occurrence))


@schedules.command(
    epilog="Example: scheduler schedules backfill daily-report --from 2027-01-01T00:00:00Z --to 2027-02-01T00:00:00Z"
)
@reference_argument
@click.option("--from", "from_", metavar="INSTANT", required=True, help="The first instant, as 2027-01-01T00:00:00Z.")
@click.option("--to", metavar="INSTANT", required=True, help="The end, which is not included; not later than now.")
@json_flag
def backfill(schedule: str, from_: str, to: str, as_json: bool) -> None:
    """Run what did not run in the past.

    Of what its rule names there, that is; its plan stays as it is.
    """
    with ApiClient.from_environment() as api:
        made = api.request("POST", f"{api.schedule_path(schedule)}/backfill", body={"from": from_, "to": to})
    if as_json:
        print_json(made)
        return
    present, to_plan = made["alreadyPresent"], made["stillToPlan"]
    fields = [("created", made["created"]), ("already present", present), ("still to plan", to_plan or None)]
    print_fields(fields)


@schedules.command(epilog="Example: scheduler schedules audit daily-report --from 2027-01-01T00:00:00Z")
@reference_argument
@click.option("--from", "from_", metavar="INSTANT", help="The first instant.  [default: a day before --to]")
@click.option("--to", metavar="INSTANT", help="The end, which is not included.  [default: now]")
@json_flag
def audit(schedule: str, from_: str | None, to: str | None, as_json: bool) -> None:
    """Tell whether all fired that should have.

    The exit code is 1 if something is missing or unexpected.
    """
    query = {name: value for name, value in (("from", from_), ("to", to)) if value is not None}
    with ApiClient.from_environment() as api:
        found = api.request("GET", f"{api.schedule_path(schedule)}/audit", params=query)
    if as_json:
        print_json(found)
    else:
        names = {"from": "auditedFrom", "to": "auditedTo", "expected": "expected", "found": "found"}
        print_fields((shown, found[name]) for shown, name in names.items())
        odd = [("MISSING", item) for item in found["missing"]] + [("UNEXPECTED", item) for item in found["unexpected"]]
        if odd:
            click.echo()
            print_table(("WHAT", "SCHEDULED FOR", "ID"), [(what, it["scheduledFor"], it["id"]) for what, it in odd])
    if found["missing"] or found["unexpected"]:
        raise click.exceptions.Exit(1)


@schedules.command("next", epilog="Example: scheduler schedules next daily-report --count 5")
@reference_argument
@click.option("--count", type=click.IntRange(1, 1_000), default=10, show_default=True, help="How many.")
@json_flag
def next_instants(schedule: str, count: int, as_json: bool) -> None:
    """Show when it fires next."""
    with ApiClient.from_environment() as api:
        preview = api.request("GET", f"{api.schedule_path(schedule)}/next", params={"count": count})
    if as_json:
        print_json(preview)
        return
    click.echo(preview["words"])
    for note in preview["notes"]:
        click.echo(f"note: {note['message']}")
    print_table(("LOCAL TIME", "OFFSET", "INSTANT", "NOTE"), map(instant_row, preview["occurrences"]))


def _show(schedule: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(schedule)
    else:
        print_fields(schedule_fields(schedule))
