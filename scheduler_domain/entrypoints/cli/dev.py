"""`scheduler dev`: the product on one machine, by one command."""

import os
from pathlib import Path

import click


@click.command(epilog="Example: scheduler dev --port 8080 --demo")
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65_535), default=3080, show_default=True, help="0: any.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where data, secrets and logs are kept.  [default: .scheduler]",
)
@click.option("--demo", is_flag=True, help="Add sample schedules, and show each delivery as it arrives.")
@click.option("--ephemeral", is_flag=True, help="Keep nothing after the end.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON when ready; with --demo, one per delivery.")
def dev(port: int, data_dir: Path | None, demo: bool, ephemeral: bool, as_json: bool) -> None:
    """Run everything here, on embedded servers.

    Starts PostgreSQL, NATS with JetStream and Valkey, migrates, runs API and dispatcher, and prints how to go on.
    What the environment names (POSTGRES_URL, NATS_URL, REDIS_URL, JWT_SECRET and so on) is used in place of its own.
    Ctrl-C or SIGTERM drains and stops all of it.
    """
    if ephemeral and data_dir is not None:
        raise click.UsageError("--ephemeral keeps nothing, --data-dir says where to keep it: give one of them")
    from scheduler_domain.entrypoints.dev import command  # noqa: PLC0415  # help needs none of it

    folder = None if ephemeral else data_dir or Path(".scheduler")
    command.run(os.environ, port=port, data_dir=folder, demo=demo, as_json=as_json)
