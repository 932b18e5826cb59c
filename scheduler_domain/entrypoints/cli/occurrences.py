"""`scheduler occurrences`: the ledger from a shell, and the way back for what failed."""

from typing import Any

import click

from scheduler_domain.entrypoints.cli.api_client import ApiClient, path_segment
from scheduler_domain.entrypoints.cli.output import print_fields, print_json, print_table, progress_bar
from scheduler_domain.entrypoints.cli.words import lateness, occurrence_fields

STATUSES = ["PENDING", "PROCESSING", "COMPLETED", "FAILED", "SKIPPED", "CANCELLED"]


@click.group()
def occurrences() -> None:
    """Read what fired, replay and cancel, over the API.

    SCHEDULER_URL, SCHEDULER_TOKEN and SCHEDULER_TENANT say which API, as whom, and for which tenant.
    """


@occurrences.command("list", epilog="Example: scheduler occurrences list --schedule daily-report --status FAILED")
@click.option("--schedule", metavar="ID|KEY", help="Only of this schedule.")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--from", "from_", metavar="INSTANT", help="Scheduled at or after, as 2027-01-01T00:00:00Z.")
@click.option("--to", metavar="INSTANT", help="Scheduled before.")
@click.option("--page", type=click.IntRange(1), help="Which page.  [default: 1]")
@click.option("--page-size", type=click.IntRange(1, 200), help="How many a page.  [default: 20]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers.")
def list_occurrences(as_json: bool, schedule: str | None, **filters: Any) -> None:
    """List occurrences, the newest first."""
    wire = {"from_": "from", "page_size": "pageSize"}
    query = {wire.get(name, name): str(value) for name, value in filters.items() if value is not None}
    with ApiClient.from_environment() as api:
        if schedule is not None:
            query["scheduleId"] = api.schedule_id(schedule)
        page = api.request("GET", "/occurrences", params=query)
    if as_json:
        print_json(page)
        return
    columns = ("ID", "SCHEDULE", "KIND", "SCHEDULED FOR", "STATUS", "REASON", "LATENESS")
    names = ("id", "scheduleId", "kind", "scheduledFor", "status", "reason")
    print_table(columns, [(*(item.get(name) for name in names), lateness(item)) for item in page["items"]])


@occurrences.command(epilog="Example: scheduler occurrences show 01934c5e-7f00-8a31-9b1e-5d0c2f6a7b8c")
@click.argument("occurrence", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers.")
def show(occurrence: str, as_json: bool) -> None:
    """Show one occurrence and each attempt at it."""
    with ApiClient.from_environment() as api:
        found = api.request("GET", f"/occurrences/{path_segment(occurrence)}")
    if as_json:
        print_json(found)
        return
    print_fields(occurrence_fields(found))
    if found.get("attempts"):
        click.echo()
        print_table(("ATTEMPT", "STARTED", "TOOK", "OUTCOME", "STATUS", "ERROR"), map(_attempt, found["attempts"]))


@occurrences.command(epilog="Example: scheduler occurrences replay --schedule daily-report --from 2027-01-01T00:00:00Z")
@click.argument("occurrence", metavar="[ID]", required=False)
@click.option("--schedule", metavar="ID|KEY", help="All dead letters of this schedule.")
@click.option("--from", "from_", metavar="INSTANT", help="Scheduled at or after, as 2027-01-01T00:00:00Z.")
@click.option("--to", metavar="INSTANT", help="Scheduled before.")
@click.option("--all", "everything", is_flag=True, help="All dead letters of the tenant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(
    occurrence: str | None,
    schedule: str | None,
    from_: str | None,
    to: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Try again what failed for good.

    One occurrence by its id, or all that the flags choose. Each keeps its id and key, so a receiver
    that has it knows it.
    """
    chosen = [name for name, value in (("--schedule", schedule), ("--from", from_), ("--to", to)) if value is not None]
    if (occurrence is not None) == bool(chosen or everything):
        raise click.UsageError("name one occurrence, or choose by --schedule, --from and --to, or say --all")
    with ApiClient.from_environment() as api:
        if occurrence is not None:
            _show(api.request("POST", f"/occurrences/{path_segment(occurrence)}/replay", body={}), as_json)
            return
        wanted = {"scheduleId": None if schedule is None else api.schedule_id(schedule), "from": from_, "to": to}
        counts = _replay_all(api, {name: value for name, value in wanted.items() if value is not None})
    if as_json:
        print_json(counts)
    else:
        left = f"; {counts['notReplayed']} left, whose schedule is gone or disabled" if counts["notReplayed"] else ""
        click.echo(f"replayed {counts['replayed']}{left}")


@occurrences.command(epilog="Example: scheduler occurrences cancel 01934c5e-7f00-8a31-9b1e-5d0c2f6a7b8c")
@click.argument("occurrence", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API answers.")
def cancel(occurrence: str, as_json: bool) -> None:
    """Take one occurrence back before it starts.

    Once this returns, no attempt of it starts any more.
    """
    with ApiClient.from_environment() as api:
        _show(api.request("POST", f"/occurrences/{path_segment(occurrence)}/cancel", body={}), as_json)


def _replay_all(api: ApiClient, wanted: dict[str, str]) -> dict[str, int]:
    """Replay batch by batch. What fails again meanwhile lies behind the cursor, so this comes to an end."""
    total = api.request("GET", "/occurrences", params={**wanted, "status": "FAILED", "pageSize": "1"})["total"]
    counts = {"replayed": 0, "notReplayed": 0}
    cursor: dict[str, str] = {}
    with progress_bar("replaying", total) as advance:
        while True:
            batch = api.request("POST", "/occurrences/replay", body={"status": "FAILED", **wanted, **cursor})
            for name in counts:
                counts[name] += batch[name]
            advance(batch["replayed"] + batch["notReplayed"])
            if batch["nextCursor"] is None:
                return counts
            cursor = {"cursor": batch["nextCursor"]}


def _show(occurrence: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(occurrence)
    else:
        print_fields(occurrence_fields(occurrence))


def _attempt(attempt: dict[str, Any]) -> tuple[object, ...]:
    return (
        attempt["number"],
        attempt["startedAt"],
        f"{attempt['durationMs']} ms",
        attempt["outcome"],
        attempt.get("statusCode"),
        attempt.get("error"),
    )
