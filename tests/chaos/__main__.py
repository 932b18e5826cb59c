"""`python -m tests.chaos`: run, tell, and judge; exit code 1 where a promise was broken."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.report import as_json, show
from tests.chaos.run import run


def main() -> int:
    arguments = _arguments()
    talking = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=talking, disable=not talking.is_terminal) as progress:
        progress.add_task(f"chaos, seed {arguments.seed}", total=None)
        verdict = uvloop.run(run(arguments.seed, arguments.seconds, _teller(talking), arguments.logs))
    if arguments.json:
        sys.stdout.write(as_json(verdict) + "\n")
    else:
        show(verdict, Console(highlight=False, soft_wrap=True))
    return 0 if verdict.passed else 1


def _teller(console: Console) -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: console.print(f"[{time.monotonic() - began:6.1f}] {text}", markup=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kill, stop, cut off and restart each part under load, then check that every promise was kept.",
        epilog="Example: python -m tests.chaos --seconds 120 --seed 7 --json",
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long things are broken (60)")
    parser.add_argument("--seed", type=int, default=1, help="which faults, when (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON line instead of a table")
    parser.add_argument(
        "--logs",
        type=Path,
        metavar="DIR",
        help="keep the processes' logs, and history.json with all that happened, in this folder",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
