"""startup: `scheduler dev` from nothing to ready and to the first delivery, with an empty data folder and a used one.

Cold makes the database cluster and migrates; warm finds both. The first delivery is that of a one-shot schedule which
is due when it is created, seen by a subscriber; the clock starts with the process.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nats

from benchmarks.figures import Result, result
from benchmarks.stage import free_port, stop

_DELIVERED_WITHIN_SEC = 30.0


def run(full: bool) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="scheduler-startup-") as folder:
        yield _start("startup_cold", Path(folder))
        for _ in range(5 if full else 1):
            yield _start("startup_warm", Path(folder))


def _start(name: str, folder: Path) -> Result:
    command = [sys.executable, "-m", "scheduler_domain", "dev", "--port", str(free_port()), "--data-dir", str(folder)]
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, "--json"],
        env={"PATH": os.environ.get("PATH", os.defpath)},  # no variable of ours, as for a new user
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = json.loads(_first_line(process))
        ready_ms = (time.monotonic() - began) * 1000
        asyncio.run(_first_delivery(ready))
        delivered_ms = (time.monotonic() - began) * 1000
    finally:
        stopping = time.monotonic()
        stop(process)
    return result(
        name,
        1,
        {"data": "none" if name == "startup_cold" else "of an earlier start"},
        ready_ms=round(ready_ms),
        first_delivery_ms=round(delivered_ms),
        stop_ms=round((time.monotonic() - stopping) * 1000),
    )


def _first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("`scheduler dev` ended before it was ready")
    return line


async def _first_delivery(ready: dict[str, str]) -> None:
    client = await nats.connect(ready["natsUrl"])
    arrived = asyncio.Event()

    async def note(_message: object) -> None:
        arrived.set()

    try:
        await client.subscribe(f"events.{ready['tenant']}.startup.first", cb=note)
        await client.flush()
        headers = {"Authorization": f"Bearer {ready['token']}", "X-Tenant-Id": ready["tenant"]}
        due_now = {"type": "ONE_SHOT", "startAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "ifPast": "RUN_NOW"}
        asked = {"name": "first", "trigger": due_now, "target": {"kind": "EVENT", "eventTopic": "startup.first"}}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as api:
            (await api.post(f"{ready['url']}/schedules", json=asked)).raise_for_status()
        await asyncio.wait_for(arrived.wait(), _DELIVERED_WITHIN_SEC)
    finally:
        await client.close()
