"""`scheduler serve`: the API alone."""

import os

import click

from scheduler_domain.settings import Settings


@click.command(epilog="Example: POSTGRES_URL=postgresql://… JWT_SECRET=… scheduler serve")
def serve() -> None:
    """Run the API.

    It is configured by the environment; .env.example explains each variable. SIGTERM lets requests under way finish.
    """
    settings = Settings.from_environment(os.environ)
    settings.check_serving()
    from scheduler_domain.entrypoints.http_api.server import serve as run  # noqa: PLC0415  # a bad setting is told without the wait

    run(settings)
