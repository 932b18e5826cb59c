"""`scheduler occurrences`: the ledger from a shell."""

from typing import Any

import click

from scheduler_domain.entrypoints.cli.api_client import ApiClient
from scheduler_domain.entrypoints.cli.output import print_fields, print_json, print_table
from scheduler_domain.entrypoints.cli.words import lateness, occurrence_fields

STATUSES = ["PENDING", "PROCESSING", "COMPLETED", "FAILED", "SKIPPED", "CANCELLED"]


@click.group()
def occurrences() -> None:
    """Read what fired, and how it ended, over the API.

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
        found = api.request("GET", f"/occurrences/{occurrence}")
    if as_json:
        print_json(found)
        return
    print_fields(occurrence_fields(found))
    if found.get("attempts"):
        click.echo()
        print_table(("ATTEMPT", "STARTED", "TOOK", "OUTCOME", "STATUS", "ERROR"), map(_attempt, found["attempts"]))


def _attempt(attempt: dict[str, Any]) -> tuple[object, ...]:
    return (
        attempt["number"],
        attempt["startedAt"],
        f"{attempt['durationMs']} ms",
        attempt["outcome"],
        attempt.get("statusCode"),
        attempt.get("error"),
    )
