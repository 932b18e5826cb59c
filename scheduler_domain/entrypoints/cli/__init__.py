"""The console script `scheduler`: which commands there are, and where each one lives.

Nothing but click is imported here. A command's module is imported when it is called, so that `scheduler preview` does
not wait for the database drivers that `scheduler serve` needs.
"""

import click

from scheduler_domain.entrypoints.cli.lazy_group import LazyGroup

_COMMANDS = "scheduler_domain.entrypoints.cli"

main = LazyGroup(
    "scheduler",
    help="""Cron, RRULE, fixed-delay and one-shot schedules that fire at the right local instant.

    \b
    New here? `scheduler dev` starts everything on this machine and says how to go on.
    """,
    commands_at={
        "dev": (f"{_COMMANDS}.dev:dev", "Run everything here, on embedded servers."),
        "serve": (f"{_COMMANDS}.serve:serve", "Run the API."),
        "dispatch": (f"{_COMMANDS}.dispatch:dispatch", "Run a dispatcher; run as many as you like."),
        "migrate": (f"{_COMMANDS}.migrate:migrate", "Bring the database schema up, down, or show where it is."),
        "token": (f"{_COMMANDS}.token:token", "Mint a bearer token from JWT_SECRET."),
        "preview": (f"{_COMMANDS}.preview:preview", "Show when a trigger fires; offline."),
        "schedules": (f"{_COMMANDS}.schedules:schedules", "Create, read and change schedules over the API."),
        "occurrences": (
            f"{_COMMANDS}.occurrences:occurrences",
            "Read what fired, replay and cancel, over the API.",
        ),
        "templates": (
            f"{_COMMANDS}.templates:templates",
            "Make schedules from templates, by the file.",
        ),
        "doctor": (f"{_COMMANDS}.doctor:doctor", "Check configuration and servers, and say how to mend them."),
    },
)
click.version_option(package_name="scheduler-domain", message="%(version)s")(main)
