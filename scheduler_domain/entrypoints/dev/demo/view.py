"""How deliveries are shown: a live table at a terminal, plain lines elsewhere, NDJSON for a program."""

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from scheduler_domain.entrypoints.dev.demo.delivery import ReceivedDelivery

_SHOWN = 15
_ON_TIME_MS, _LATE_MS = 50, 1_000
# The narrowest that each column may become; what does not fit into a narrow terminal is cut, not wrapped.
_COLUMNS = {"time": 8, "schedule": 9, "trigger": 8, "due": 8, "fired": 12, "late": 7, "target": 12}
_LATE = list(_COLUMNS).index("late")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is shown of the schedule a delivery belongs to."""

    name: str
    trigger: str


class View(Protocol):
    """Shows deliveries while its context is open."""

    def show(self, delivery: ReceivedDelivery, schedule: Schedule) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def view_for(*, as_json: bool) -> View:
    if as_json:
        return JsonView()
    console = Console()
    return TableView(console) if console.is_terminal else LineView()


class JsonView:
    """One JSON object a line."""

    def show(self, delivery: ReceivedDelivery, schedule: Schedule) -> None:
        document = {
            "receivedAt": _wire(delivery.received_at),
            "occurrenceId": delivery.occurrence_id,
            "scheduleId": delivery.schedule_id,
            "schedule": schedule.name,
            "trigger": schedule.trigger,
            "scheduledFor": _wire(delivery.scheduled_for),
            "firedAt": _wire(delivery.fired_at),
            "latenessMs": round(delivery.lateness_ms, 3),
            "target": delivery.target,
        }
        click.echo(json.dumps(document, ensure_ascii=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""


class LineView:
    """One line a delivery, in columns wide enough for the samples."""

    def show(self, delivery: ReceivedDelivery, schedule: Schedule) -> None:
        time, name, trigger, due, fired, late, target = _cells(delivery, schedule)
        click.echo(f"{time}  {name:<12}  {trigger:<32}  due {due}  fired {fired}  {late:>9}  {target}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""


class TableView:
    """A table of the newest deliveries that is drawn anew as each arrives."""

    def __init__(self, console: Console) -> None:
        self._rows: deque[tuple[Text, ...]] = deque(maxlen=_SHOWN)
        self._count = 0
        self._live = Live(self._table(), console=console, auto_refresh=False)

    def show(self, delivery: ReceivedDelivery, schedule: Schedule) -> None:
        cells = [Text(cell) for cell in _cells(delivery, schedule)]
        cells[_LATE].stylize(_colour(delivery.lateness_ms))
        self._rows.append(tuple(cells))
        self._count += 1
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        caption = f"deliveries: {self._count}; Ctrl-C stops everything" if self._count else "waiting for the first"
        columns = [Column(name, no_wrap=True, min_width=width) for name, width in _COLUMNS.items()]
        columns[_LATE].justify = "right"
        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
        for row in self._rows:
            table.add_row(*row)
        return table

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


def _cells(delivery: ReceivedDelivery, schedule: Schedule) -> tuple[str, ...]:
    return (
        f"{delivery.received_at.astimezone():%H:%M:%S}",
        schedule.name,
        schedule.trigger,
        f"{delivery.scheduled_for.astimezone():%H:%M:%S}",
        f"{delivery.fired_at.astimezone():%H:%M:%S.%f}"[:-3],
        f"{delivery.lateness_ms:.0f} ms",
        delivery.target,
    )


def _colour(lateness_ms: float) -> str:
    if lateness_ms <= _ON_TIME_MS:
        return "green"
    return "yellow" if lateness_ms <= _LATE_MS else "red"


def _wire(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
