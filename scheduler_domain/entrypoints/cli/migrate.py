"""`scheduler migrate`: the database schema."""

import os

import click

from scheduler_domain.entrypoints.cli.output import print_fields, print_json
from scheduler_domain.settings import Settings


@click.group(invoke_without_command=True, epilog="Example: POSTGRES_URL=postgresql://… scheduler migrate")
@click.pass_context
def migrate(context: click.Context) -> None:
    """Bring the database schema up, down, or show where it is.

    Without a subcommand it goes up to the newest revision. The database is the one that POSTGRES_URL names, its user
    one that may create roles the first time.
    """
    if context.invoked_subcommand is None:
        context.invoke(up)


@migrate.command(epilog="Example: scheduler migrate up")
def up() -> None:
    """Go up to the newest revision."""
    from scheduler_domain.bootstrap.migrations import migrate_up, migration_status  # noqa: PLC0415  # alembic, only where used

    url = _postgres_url()
    migrate_up(url)
    click.echo(f"the schema is at revision {migration_status(url).current}")


@migrate.command(epilog="Example: scheduler migrate down 0001")
@click.argument("revision", metavar="REV")
def down(revision: str) -> None:
    """Go down to revision REV.

    What later revisions hold is lost; `base` removes every table.
    """
    from scheduler_domain.bootstrap.migrations import migrate_down, migration_status  # noqa: PLC0415

    url = _postgres_url()
    migrate_down(url, revision)
    click.echo(f"the schema is at revision {migration_status(url).current or 'base'}")


@migrate.command(epilog="Example: scheduler migrate status --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show the revision of the database and the newest one.

    Exits 1 if the database is behind.
    """
    from scheduler_domain.bootstrap.migrations import migration_status  # noqa: PLC0415

    found = migration_status(_postgres_url())
    if as_json:
        print_json({"current": found.current, "head": found.head, "upToDate": found.is_up_to_date})
    else:
        hint = None if found.is_up_to_date else "run `scheduler migrate`"
        print_fields([("current", found.current or "none"), ("head", found.head), ("to do", hint)])
    if not found.is_up_to_date:
        raise SystemExit(1)


def _postgres_url() -> str:
    return Settings.from_environment(os.environ).required_postgres_url()
