"""`python -m benchmarks`: run them, print what they found as JSON lines or a table, draw pictures."""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.figures import Result
from benchmarks.machine import machine
from benchmarks.pictures import draw
from benchmarks.table import show

# Name → where its `run(full)` is. In the order they run: cheap ones first, so that a broken build shows early.
BENCHMARKS = {
    "trigger_next": "trigger_next:run",
    "trigger_hostile": "trigger_hostile:run",
    "preview_1000": "preview_1000:run",
    "startup": "startup:run",
    "floor": "floor:run",
    "api_create": "api:create",
    "api_get": "api:get",
    "template_upsert": "templates:upsert",
    "templates_import": "templates:imported",
    "materialise": "planning:materialise",
    "herd_event": "herd:event",
    "herd_two": "herd:two",
    "herd_http": "herd:http",
    "herd_event_100k": "planned_herd:event_100k",
    "lateness_100": "lateness:at_100",
    "lateness_1000": "lateness:at_1000",
    "lateness_neighbour": "planned_herd:neighbour",
    "memory": "planned_herd:memory",
    "recovery": "recovery:run",
    "takeover": "takeover:run",
    "scale_schedules": "planning:scale",
    "birthday_peak": "birthday_peak:run",
}


def main() -> int:
    arguments = _arguments()
    results: list[Result] = []
    failed = False
    for name in arguments.only or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            for each in _run(name, arguments.full):
                results.append(each)
                if arguments.json:
                    print(json.dumps(each), flush=True)
        except Exception as error:  # noqa: BLE001 (one broken benchmark must not cost the others' results)
            failed = True
            print(f"{name} failed: {error or type(error).__name__}", file=sys.stderr)
    if not arguments.json:
        show(results)
    if arguments.plot is not None:
        draw(results, arguments.plot)
    return 1 if failed else 0


def _run(name: str, full: bool) -> Iterator[Result]:
    machine()  # the load is taken before we make our own
    module, function = BENCHMARKS[name].split(":")
    run: Callable[[bool], Iterable[Result]] = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    for each in run(full):
        yield {**each, "machine": machine()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this product on servers of its own, with durable settings.",
        epilog="Example: python -m benchmarks --only herd_event --only floor --json",
    )
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME", help="run this one; repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON line a result")
    parser.add_argument("--full", action="store_true", help="larger sizes, which take minutes longer")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw pictures into this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
