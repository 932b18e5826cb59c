"""`scheduler dispatch`: one dispatcher."""

import os

import click

from scheduler_domain.settings import Settings


@click.command(epilog="Example: POSTGRES_URL=postgresql://… NATS_URL=nats://… scheduler dispatch")
def dispatch() -> None:
    """Run a dispatcher; run as many as you like.

    It is configured by the environment; .env.example explains each variable. SIGTERM lets deliveries under way finish,
    hands back what has not begun, and ends within SHUTDOWN_GRACE_SEC.
    """
    settings = Settings.from_environment(os.environ)
    settings.check_dispatching()
    from scheduler_domain.entrypoints.dispatcher.server import dispatch as run  # noqa: PLC0415  # a bad setting is told without the wait

    run(settings)
