"""docs/templates.md does what it says: its commands run, word for word, and its template makes instances."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import Processes, RunningProcess

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
SCRIPTS = str(Path(sys.executable).parent)
PEOPLE = """\
customer_number,first_name,last_name,date_of_birth,tz
17,Ada,Lovelace,1988-02-29,Europe/London
18,Grace,Hopper,1986-12-09,America/New_York
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
async def dev(processes: Processes, tmp_path: Path) -> AsyncIterator[RunningProcess]:
    environment = {"PATH": f"{SCRIPTS}:{os.defpath}"}
    command = f"cd {tmp_path} && exec scheduler dev --port 0 --json"
    started = processes.command("sh", "-c", command, environment=environment)
    await started.wait_for_line('{"url"', within=60)
    yield started
    await started.stop()


async def test_its_commands_run_in_order_and_the_file_becomes_birthdays(
    dev: RunningProcess, processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    script = re.sub(r"^\$ ", "", "".join(blocks("console")), flags=re.MULTILINE)
    assert script.count("templates apply") == 2
    environment = {"PATH": f"{SCRIPTS}:{os.defpath}"}
    shell = processes.command("bash", "-c", f"set -e; cd {tmp_path}\n{script}", environment=environment)
    assert await shell.wait(within=60) == 0, shell.tail()
    assert "in common years on 1 March" in shell.output
    said = [line for line in shell.output.splitlines() if "2 created, 0 changed, 0 unchanged, 0 failed" in line]
    assert [line.startswith("would be: ") for line in said] == [True, False], shell.tail()


async def test_its_template_is_saved_and_makes_the_instance_that_it_names(dev: RunningProcess) -> None:
    ready = json.loads(await dev.wait_for_line('{"url"', within=60))
    [template] = [json.loads(text) for text in blocks("json")]
    [instance] = re.findall(r"`PUT (/templates/\S+)` with\s+`(\{.*?\})`\.", PAGE)
    headers = {"Authorization": f"Bearer {ready['token']}", "X-Tenant-Id": ready["tenant"]}
    async with httpx.AsyncClient(base_url=ready["url"], headers=headers, trust_env=False, timeout=30) as client:
        parameters = json.loads(instance[1])
        previewed = await client.post("/templates/preview", json={"template": template, **parameters})
        assert previewed.status_code == 200, previewed.text
        saved = await client.post("/templates", json=template)
        assert saved.status_code == 201, saved.text
        made = await client.put(instance[0], json=parameters)
        assert made.status_code == 201, made.text
        schedule = (await client.get(f"/schedules/{made.json()['scheduleId']}")).json()
    assert (schedule["name"], schedule["tz"]) == ("Renewal of ACME", "Europe/Berlin")
    assert made.json()["nextFireAt"] == "2027-06-30T06:00:00Z"
