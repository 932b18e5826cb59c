"""A host's clock is an hour off, or is set while a process runs: the database's decides, and nobody notices.

Nothing is early, nothing is late for it, nothing is doubled or missed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from scheduler_domain.infra.embedded import ServerUrls
from tests.integration.api_server import definition, environment, token
from tests.support.host_clock import HostClock, needs_faketime
from tests.support.processes import Processes
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [needs_faketime, pytest.mark.faults]

EACH_SECOND = {"type": "CRON", "cron": "* * * * * *"}
AN_HOUR = timedelta(hours=1)
EARLY, LATE = timedelta(milliseconds=-5), timedelta(seconds=1)
SCHEDULES = 5


@pytest.fixture
def variables(database: str, servers: ServerUrls) -> dict[str, str]:
    return environment(
        database,
        NATS_URL=servers.nats_url,
        PORT="0",
        DISPATCHER_PORT="0",
        LOG_LEVEL="info",
        WEBHOOK_ALLOW_NETS="127.0.0.0/8",
        WEBHOOK_ALLOW_HTTP="true",
    )


@asynccontextmanager
async def serving(processes: Processes, variables: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Run an API; yields a client of the tenant acme."""
    api = processes.scheduler("serve", environment=variables)
    line = await api.wait_for_line("http_api.listening", within=30)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    await api.wait_for_http(f"{url}/ready", within=20)
    headers = {"Authorization": f"Bearer {token('acme', 'editor')}", "X-Tenant-Id": "acme"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


async def created(client: httpx.AsyncClient, receiver: Receiver, trigger: dict[str, str]) -> dict[str, Any]:
    target = {"kind": "HTTP", "http": {"url": f"{receiver.url}/hook"}}
    answer = await client.post("/schedules", json=definition(trigger=trigger, target=target))
    assert answer.status_code == httpx.codes.CREATED, answer.text
    schedule: dict[str, Any] = answer.json()
    return schedule


def lateness(receiver: Receiver) -> list[timedelta]:
    return [request.at - datetime.fromisoformat(request.headers["ce-time"]) for request in receiver.requests]


async def test_a_dispatcher_fires_at_the_right_instants_whatever_its_hosts_clock_is_set_to(
    processes: Processes,
    variables: dict[str, str],
    receiver: Receiver,
    connection: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    host = HostClock(tmp_path / "clock", AN_HOUR)
    dispatcher = processes.scheduler("dispatch", environment={**variables, **host.variables})
    await dispatcher.wait_for_line("dispatcher.ready", within=30)
    async with serving(processes, variables) as client:
        for _ in range(SCHEDULES):
            await created(client, receiver, EACH_SECOND)
        for ahead in (-AN_HOUR, AN_HOUR, timedelta(0)):
            seen = len(receiver.requests)
            await receiver.wait_for(seen + 2 * SCHEDULES, within=10)
            host.set(ahead)
        seen = len(receiver.requests)
        await receiver.wait_for(seen + 2 * SCHEDULES, within=10)
    host.set(-AN_HOUR)
    assert await dispatcher.stop(within=30) == 0
    lines = dispatcher.output.splitlines()
    assert [_hours_off(line) for line in (lines[0], lines[-1])] == [1, -1], "its host's clock was not what was asked"

    assert all(EARLY <= late <= LATE for late in lateness(receiver)), lateness(receiver)
    keys = [request.headers["Idempotency-Key"] for request in receiver.requests]
    assert len(keys) == len(set(keys))
    rows = await connection.fetch(
        "SELECT count(*) AS rows, extract(epoch FROM max(scheduled_for) - min(scheduled_for))::int + 1 AS seconds"
        " FROM scheduler.ledger WHERE status = 'COMPLETED' GROUP BY schedule_id"
    )
    assert all(row["rows"] == row["seconds"] for row in rows), "each second, once"
    assert not await connection.fetchval("SELECT count(*) FROM scheduler.ledger WHERE status = 'SKIPPED'")


@pytest.mark.parametrize("ahead", [AN_HOUR, -AN_HOUR], ids=["ahead", "behind"])
async def test_what_an_api_accepts_is_due_by_the_databases_clock(
    ahead: timedelta,
    processes: Processes,
    variables: dict[str, str],
    receiver: Receiver,
    connection: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    await processes.scheduler("dispatch", environment=variables).wait_for_line("dispatcher.ready", within=30)
    host = HostClock(tmp_path / "clock", ahead)
    async with serving(processes, {**variables, **host.variables}) as client:
        began = datetime.now(UTC)
        each_second = await created(client, receiver, EACH_SECOND)
        assert abs(datetime.fromisoformat(each_second["createdAt"]) - began) < LATE
        once_at = began + timedelta(seconds=2)
        once = await created(client, receiver, {"type": "ONE_SHOT", "startAt": once_at.isoformat()})
        paused = await created(client, receiver, {"type": "CRON", "cron": "0 0 1 1 *"})
        by_hand = (await client.post(f"/schedules/{paused['id']}/trigger", headers={"Idempotency-Key": "now"})).json()
        await eventually(lambda: all(is_delivered(receiver, each["id"]) for each in (each_second, once)), within=5)
        await receiver.wait_for(5, within=10)
        assert by_hand["id"] in {request.headers["Idempotency-Key"] for request in receiver.requests}
    late = lateness(receiver)
    assert all(EARLY <= each <= LATE for each in late), late
    assert min(datetime.fromisoformat(request.headers["ce-time"]) for request in receiver.requests) >= began - LATE
    assert not await connection.fetchval("SELECT count(*) FROM scheduler.ledger WHERE status = 'SKIPPED'")


@pytest.mark.parametrize("ahead", [AN_HOUR, -AN_HOUR], ids=["ahead", "behind"])
async def test_a_token_is_as_old_as_the_databases_clock_says(
    ahead: timedelta, processes: Processes, variables: dict[str, str], tmp_path: Path
) -> None:
    host = HostClock(tmp_path / "clock", ahead)
    now = int(datetime.now(UTC).timestamp())
    async with serving(processes, {**variables, **host.variables}) as client:
        for lives, status in (((-10, 60), 200), ((-60, -20), 200), ((-600, -60), 401), ((90, 600), 401)):
            issued, ends = lives
            bearer = token("acme", "viewer", iat=now + issued, exp=now + ends)
            answer = await client.get("/schedules", headers={"Authorization": f"Bearer {bearer}"})
            assert answer.status_code == status, lives


def is_delivered(receiver: Receiver, schedule: str) -> bool:
    return any(request.headers["ce-source"].endswith(schedule) for request in receiver.requests)


def _hours_off(line: str) -> int:
    """Return by how many hours the instant of a log line differs from now."""
    said = datetime.fromisoformat(line.split('"timestamp":"')[1].split('"', maxsplit=1)[0])
    return round((said - datetime.now(UTC)) / AN_HOUR)
