"""The command itself: what it says of itself, how fast, and how it refuses."""

import sys
from collections.abc import Iterator

import click
import pytest

from scheduler_domain.entrypoints.cli import main
from tests.acceptance.scheduler_command import scheduler
from tests.support.processes import Processes


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command and subcommand with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(main))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    command = ALL[words]
    assert command.help
    if not isinstance(command, click.Group) or command.invoke_without_command:
        assert command.epilog is not None
        assert command.epilog.startswith("Example: ")


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_first_line_of_a_command_s_help_is_whole_in_the_list(words: tuple[str, ...]) -> None:
    first_line = (ALL[words].help or "").split("\n", maxsplit=1)[0]
    if len(words) == 1:
        assert main.commands_at[words[0]][1] == first_line
    assert not ALL[words].get_short_help_str(limit=62).endswith("...")


async def test_help_lists_every_command() -> None:
    ended = await scheduler("--help")
    assert ended.exit_code == 0
    for name in main.commands_at:
        assert f"\n  {name} " in ended.stdout


async def test_the_version_is_told() -> None:
    ended = await scheduler("--version")
    assert ended.exit_code == 0
    assert ended.stdout.strip()


async def test_an_unknown_command_is_bad_usage() -> None:
    ended = await scheduler("shcedules")
    assert ended.exit_code == 2
    assert "No such command 'shcedules'" in ended.error


@pytest.mark.parametrize("words", [["--help"], ["preview", "--help"], ["dev", "--help"]], ids=" ".join)
async def test_help_does_not_wait_for_drivers(processes: Processes, words: list[str]) -> None:
    slow = ["aiohttp", "alembic", "asyncpg", "litestar", "nats", "redis", "rich", "sqlalchemy", "uvicorn"]
    probe = (
        "import sys; from scheduler_domain.entrypoints.cli import main\n"
        f"try: main({words!r})\n"
        f"except SystemExit: print('loaded', [name for name in {slow!r} if name in sys.modules])"
    )
    process = processes.command(sys.executable, "-c", probe)
    assert await process.wait_for_line("loaded", within=20) == "loaded []"


@pytest.mark.parametrize("command", ["serve", "dispatch"])
async def test_without_a_database_a_server_refuses_to_start_and_names_scheduler_dev(command: str) -> None:
    ended = await scheduler(command)
    assert ended.exit_code == 1
    assert ended.error.startswith("POSTGRES_URL is not set")
    assert "`scheduler dev`" in ended.error


@pytest.mark.parametrize("command", ["serve", "dispatch", "migrate", "doctor", "dev"])
async def test_a_bad_value_in_the_environment_is_told_in_one_line(command: str) -> None:
    ended = await scheduler(command, environment={"DISPATCHER_LEASE_SEC": "soon"})
    assert ended.exit_code == 1
    assert "DISPATCHER_LEASE_SEC=soon: a number of seconds from 4 to 3600 is accepted" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
