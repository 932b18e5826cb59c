"""Results as a table for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Result

_FIGURES = {
    "n": "n",
    "per_s": "per s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "max_ms": "max ms",
    "us": "µs",
}
_PROGRAMS = ("python", "postgres", "nats")
_SHOWN_ELSEWHERE = {"name", "cpu_us", "settings", "machine", *_FIGURES}


def show(results: Sequence[Result]) -> None:
    """Print one line a result, and below it what does not fit a column."""
    if not results:
        return
    table = Table(title="µs of processor time are per item", title_justify="left", caption=_machine_line(results[0]))
    table.add_column("benchmark")
    for title in (*_FIGURES.values(), *(f"{name} µs" for name in _PROGRAMS), "also"):
        table.add_column(title, justify="left" if title == "also" else "right")
    for each in results:
        processor = each.get("cpu_us", {})
        table.add_row(
            each["name"],
            *(_text(each.get(name)) for name in _FIGURES),
            *(_text(processor.get(name)) for name in _PROGRAMS),
            ", ".join(f"{name} {_text(value)}" for name, value in each.items() if name not in _SHOWN_ELSEWHERE),
        )
    Console(width=None if Console().is_terminal else 200).print(table)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case float() if value >= 100:
            return f"{value:,.0f}"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _machine_line(each: Result) -> str:
    return ", ".join(f"{name} {value}" for name, value in each["machine"].items())
