"""The README does what it says: its shell blocks run, in order, against `scheduler dev`; its JSON is accepted."""

import json
import os
import re
import sys
from itertools import product
from pathlib import Path

import httpx
import msgspec
import nats
import pytest

from scheduler_domain.domain.schedule import ScheduleDefinition
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SCRIPTS = str(Path(sys.executable).parent)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def json_in_tables(member: str) -> list[str]:
    return [text for text in re.findall(r"\| `(\{.*\})` \|", README) if f'"{member}":' in text]


TRIGGERS = json_in_tables("type")
TARGETS = json_in_tables("kind")


@pytest.mark.parametrize("text", blocks("json"))
def test_a_schedule_in_the_readme_has_exactly_the_fields_there_are(text: str) -> None:
    msgspec.json.decode(text, type=ScheduleDefinition)
    left_out = {"enabled"}  # said by pausing
    known = {field.encode_name for field in msgspec.structs.fields(ScheduleDefinition)}
    assert json.loads(text).keys() == known - left_out


@pytest.mark.parametrize(("trigger", "target"), list(product(TRIGGERS, TARGETS)))
def test_any_trigger_goes_with_any_target(trigger: str, target: str) -> None:
    assert (len(TRIGGERS), len(TARGETS)) == (4, 3)
    msgspec.json.decode(f'{{"name":"n","trigger":{trigger},"target":{target}}}', type=ScheduleDefinition)


@pytest.fixture
async def dev(processes: Processes, tmp_path: Path) -> RunningProcess:
    """`make dev`, in a folder of its own and on a free port."""
    environment = {"PATH": f"{SCRIPTS}:{os.defpath}"}
    started = processes.command(
        "sh", "-c", f"cd {tmp_path} && exec scheduler dev --port 0 --json", environment=environment
    )
    await started.wait_for_line('{"url"', within=60)
    return started


async def test_the_shell_blocks_run_in_order(dev: RunningProcess, processes: Processes, tmp_path: Path) -> None:
    # The folder of a checkout is the current one there, and `.venv` is in it.
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(SCRIPTS)
    script = "\n".join(blocks("bash"))
    assert "schedules delete" in script
    shell = processes.command("bash", "-c", f"set -e; cd {tmp_path}\n{script}")
    assert await shell.wait(within=90) == 0, shell.tail()
    assert "Daily report" in shell.output
    assert '"status": 4' not in shell.output
    await dev.stop()


async def test_what_the_readme_stores_is_delivered(dev: RunningProcess, receiver: Receiver) -> None:
    ready = json.loads(await dev.wait_for_line('{"url"', within=60))
    arrived: list[str] = []

    async def note(message: nats.aio.msg.Msg) -> None:
        arrived.append(message.subject)

    client = await nats.connect(ready["natsUrl"])
    for subjects in ("events.>", "queues.>"):
        await client.subscribe(subjects, cb=note)
    await client.flush()
    soon = {
        "CRON": {"type": "CRON", "cron": "* * * * * *"},
        "RRULE": {"type": "RRULE", "rrule": "FREQ=SECONDLY"},
        "FIXED_DELAY": {"type": "FIXED_DELAY", "delaySec": 1},
        "ONE_SHOT": {"type": "ONE_SHOT", "startAt": "2026-01-01T09:00:00Z", "ifPast": "RUN_NOW"},
    }
    headers = {"Authorization": f"Bearer {ready['token']}", "X-Tenant-Id": ready["tenant"]}
    async with httpx.AsyncClient(base_url=ready["url"], headers=headers, trust_env=False) as api:
        for name, trigger in soon.items():
            for target in (
                {"kind": "EVENT", "eventTopic": name},
                {"kind": "QUEUE", "queue": {"topic": name}},
                {"kind": "HTTP", "http": {"url": f"{receiver.url}/{name}"}},
            ):
                answer = await api.post("/schedules", json={"name": name, "trigger": trigger, "target": target})
                assert answer.status_code == 201, answer.text
    tenant = ready["tenant"]
    expected = {f"{stream}.{tenant}.{name}" for stream in ("events", "queues") for name in soon}
    paths = {f"/{name}" for name in soon}
    await eventually(lambda: expected <= set(arrived), within=20)
    await eventually(lambda: paths <= {request.path for request in receiver.requests}, within=20)
    await client.close()
    await dev.stop()
