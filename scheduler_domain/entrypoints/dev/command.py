"""What `scheduler dev` does with its options."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from scheduler_domain.entrypoints.dev import announcement
from scheduler_domain.entrypoints.dev.data_folder import DataFolder
from scheduler_domain.entrypoints.dev.process_tree import Options, Running, run_until_stopped


def run(environ: Mapping[str, str], *, port: int, data_dir: Path | None, demo: bool, as_json: bool) -> None:
    """Run until a signal comes; SchedulerError if something does not start or ends by itself."""

    def say(text: str) -> None:
        """Tell a person how it goes; a program is told only what it asked for."""
        if not as_json:
            _echo(text)

    async def when_ready(running: Running) -> None:
        if running.data_dir is not None:
            folder = DataFolder(running.data_dir)
            folder.write(announcement.CLIENT_FILE, announcement.client_variables(running))
            folder.write(announcement.SERVERS_FILE, announcement.server_variables(running))
        _echo(announcement.as_json(running) if as_json else announcement.as_text(running))
        if demo:
            from scheduler_domain.entrypoints.dev.demo.show import show_deliveries  # noqa: PLC0415  # NATS, HTTP, tables

            await show_deliveries(running, as_json=as_json)

    def when_stopping(reason: str | None) -> None:
        because = f"{reason}; " if reason else ""
        say(f"\n{because}stopping; deliveries under way are finished first (Ctrl-C again leaves at once)")

    say(f"starting, with data in {data_dir}" if data_dir else "starting, keeping nothing")
    asyncio.run(run_until_stopped(Options(port, data_dir), environ, when_ready, when_stopping))
    say("stopped")


def _echo(text: str) -> None:
    """Print, though perhaps to nobody any more: that must not keep anything from being stopped in order."""
    try:
        click.echo(text)
    except BrokenPipeError:
        # What is still buffered would fail again at the interpreter's exit (Python manual, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
