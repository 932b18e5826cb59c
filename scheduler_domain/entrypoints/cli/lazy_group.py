"""A click group that imports a command when it is called, and turns foreseeable errors into one line."""

from importlib import import_module
from typing import Any

import click

from scheduler_domain.domain.errors import SchedulerError


class LazyGroup(click.Group):
    """Knows each command by its place `module:attribute` and by the line that `--help` shows for it.

    That line is repeated here because reading it from the command would import every module for one help page;
    a test holds it to the command's own help.
    """

    def __init__(self, name: str, *, commands_at: dict[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(name, **options)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # this and the next two: click's signatures
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.commands_at.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SchedulerError as error:
            raise click.ClickException(str(error)) from error
