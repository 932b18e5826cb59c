"""`scheduler dev --demo`: every sample arrives at its target and is shown, as a program or a person wants it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import Processes, RunningProcess
from tests.support.waiting import eventually

READY_WITHIN = 60.0
SAMPLES = {
    "Heartbeat": ("*/10 * * * * *", "event demo.heartbeat"),
    "Report": ("FREQ=MINUTELY;BYSECOND=5,25,45", "queue demo.reports"),
    "Poll": ("every 15 s after completion", "POST /poll"),
    "Reminder": ("once, ", "POST /remind"),
    "Birthday of Ada Lovelace": ("FREQ=YEARLY;BYMONTH=", "event birthdays"),
}
UNSEEN = {"Birthday of Leo Leap"}


def start(processes: Processes, data: Path, *options: str) -> RunningProcess:
    return processes.scheduler("dev", "--demo", "--port", "0", "--data-dir", str(data), *options)


def deliveries(process: RunningProcess) -> Iterator[dict[str, Any]]:
    for line in process.output.split("\n")[:-1]:
        document = json.loads(line)
        if "occurrenceId" in document:
            yield document


async def every_sample_arrived(process: RunningProcess) -> None:
    await eventually(lambda: {document["schedule"] for document in deliveries(process)} >= set(SAMPLES), within=40)


async def test_each_kind_of_trigger_reaches_each_kind_of_target_and_a_restart_adds_no_schedule(
    processes: Processes, tmp_path: Path
) -> None:
    for is_first_start in (True, False):
        process = start(processes, tmp_path / "data", "--json")
        ready = json.loads(await process.wait_for_line('"postgresUrl"', within=READY_WITHIN))
        if is_first_start:
            await every_sample_arrived(process)
        for document in deliveries(process):
            trigger, target = SAMPLES[document["schedule"]]
            assert document["trigger"].startswith(trigger)
            assert document["target"] == target
            assert document["latenessMs"] >= 0
        headers = {"Authorization": f"Bearer {ready['token']}", "X-Tenant-Id": ready["tenant"]}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            listed = await client.get(f"{ready['url']}/schedules")
        assert {item["name"] for item in listed.json()["items"]} == {*SAMPLES, *UNSEEN}
        process.send(signal.SIGINT)
        assert await process.wait() == 0


async def test_a_person_who_pipes_it_gets_a_line_for_each_delivery(processes: Processes, tmp_path: Path) -> None:
    process = start(processes, tmp_path / "data")
    line = await process.wait_for_line("event demo.heartbeat", within=READY_WITHIN)
    assert line.split()[1] == "Heartbeat"
    assert " ms  event demo.heartbeat" in line
