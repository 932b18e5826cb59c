"""The demo's table, lines and NDJSON, and what is read off a delivery."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from scheduler_domain.entrypoints.dev.demo.delivery import ReceivedDelivery
from scheduler_domain.entrypoints.dev.demo.view import JsonView, LineView, Schedule, TableView

DUE = datetime(2026, 11, 22, 9, tzinfo=UTC)
SCHEDULE = Schedule("Report [daily]", "0 9 * * *")
HEADERS = {
    "ce-id": "01934c5e-7f00-8a31-9b1e-5d0c2f6a7b8c",
    "ce-source": "/tenants/demo/schedules/01934c5e-0000-7000-8000-000000000000",
    "ce-time": "2026-11-22T09:00:00Z",
}


def delivery(late: timedelta) -> ReceivedDelivery:
    return ReceivedDelivery(DUE + late, HEADERS["ce-id"], "s", DUE, DUE + late, "event reports")


def test_a_delivery_is_read_off_its_attributes_and_its_body() -> None:
    read = ReceivedDelivery.read(HEADERS, b'{"firedAt": "2026-11-22T09:00:00.012Z"}', "event reports")
    assert read.occurrence_id == HEADERS["ce-id"]
    assert read.schedule_id == "01934c5e-0000-7000-8000-000000000000"
    assert read.scheduled_for == DUE
    assert read.lateness_ms == 12


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]", b'{"firedAt": 5}', b'{"firedAt": "soon"}'])
def test_a_body_of_the_tenant_s_own_leaves_the_arrival_as_the_instant_of_firing(body: bytes) -> None:
    read = ReceivedDelivery.read(HEADERS, body, "event reports")
    assert read.fired_at == read.received_at


def test_what_is_no_delivery_of_ours_is_shown_all_the_same() -> None:
    read = ReceivedDelivery.read({}, b"", "GET /favicon.ico")
    assert (read.occurrence_id, read.schedule_id, read.lateness_ms) == ("", "", 0)


@pytest.mark.parametrize(("late_ms", "colour"), [(3, "32"), (300, "33"), (3_000, "31")])
def test_the_table_shows_lateness_in_the_colour_it_deserves(late_ms: int, colour: str) -> None:
    drawn = io.StringIO()
    with TableView(Console(file=drawn, force_terminal=True, color_system="standard", width=160)) as view:
        view.show(delivery(timedelta(milliseconds=late_ms)), SCHEDULE)
    assert f"\x1b[{colour}m{late_ms} ms" in drawn.getvalue()
    assert "Report [daily]" in drawn.getvalue()
    assert "deliveries: 1" in drawn.getvalue()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonView() as view:
        view.show(delivery(timedelta(milliseconds=12)), SCHEDULE)
    assert json.loads(capsys.readouterr().out) == {
        "receivedAt": "2026-11-22T09:00:00.012Z",
        "occurrenceId": HEADERS["ce-id"],
        "scheduleId": "s",
        "schedule": "Report [daily]",
        "trigger": "0 9 * * *",
        "scheduledFor": "2026-11-22T09:00:00.000Z",
        "firedAt": "2026-11-22T09:00:00.012Z",
        "latenessMs": 12.0,
        "target": "event reports",
    }


def test_lines_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with LineView() as view:
        view.show(delivery(timedelta(milliseconds=12)), Schedule("Heartbeat", "*/10 * * * * *"))
        view.show(delivery(timedelta(milliseconds=1_200)), Schedule("Poll", "every 15 s after completion"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("due ") == second.index("due ")
    assert first.index(" ms  ") == second.index(" ms  ")
