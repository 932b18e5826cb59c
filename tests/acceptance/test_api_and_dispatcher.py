"""The tenant's sentences, on the real processes: store it, and it fires; say stop, and it has stopped."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from nats.js import JetStreamContext

from scheduler_domain.infra.embedded import ServerUrls
from tests.integration.api_server import definition, environment, token
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver, hang
from tests.support.waiting import eventually

EACH_SECOND = {"type": "CRON", "cron": "* * * * * *"}
TENANT = "acme"


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


@pytest.fixture
async def dispatcher(processes: Processes, variables: dict[str, str], jetstream: JetStreamContext) -> RunningProcess:
    process = processes.scheduler("dispatch", environment=variables)
    await process.wait_for_line("dispatcher.ready", within=20)
    return process


@pytest.fixture
async def editor(processes: Processes, variables: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    process = processes.scheduler("serve", environment=variables)
    line = await process.wait_for_line("http_api.listening", within=20)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    headers = {"Authorization": f"Bearer {token(TENANT, 'editor')}", "X-Tenant-Id": TENANT}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def webhook(receiver: Receiver) -> dict[str, Any]:
    return {"kind": "HTTP", "http": {"url": f"{receiver.url}/hook"}}


async def created(editor: httpx.AsyncClient, **more: Any) -> str:
    answer = await editor.post("/schedules", json=definition(**more))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def history(editor: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await editor.get(f"{path}/occurrences", params={"pageSize": 200, **query})).json()[
        "items"
    ]
    return items


async def test_a_schedule_created_seconds_before_its_instant_fires_at_it(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    due_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    path = await created(editor, trigger={"type": "ONE_SHOT", "startAt": due_at}, target=webhook(receiver))
    [request] = await receiver.wait_for(1, within=10)
    assert request.at >= datetime.fromisoformat(due_at)

    async def told() -> list[dict[str, Any]]:
        return await history(editor, path, status="COMPLETED")

    [occurrence] = await eventually(told, within=10)
    assert occurrence["id"] == request.headers["idempotency-key"]
    assert occurrence["attempts"][0]["outcome"] == "DELIVERED"

    async def is_completed() -> bool:
        schedule = (await editor.get(path)).json()
        return (
            schedule["state"] == "COMPLETED" and schedule["nextFireAt"] is None and schedule["lastFireAt"] is not None
        )

    await eventually(is_completed, within=10)


async def test_run_now_is_delivered_while_paused(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    path = await created(editor, enabled=False, target=webhook(receiver))
    manual = (await editor.post(f"{path}/trigger")).json()
    [request] = await receiver.wait_for(1, within=10)
    assert request.headers["idempotency-key"] == manual["id"]


@pytest.mark.parametrize("change", ["pause", "delete"])
async def test_after_the_answer_to_a_pause_or_a_deletion_nothing_is_sent(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver, change: str
) -> None:
    """Each time at another moment of the second, with occurrences held by the dispatcher ahead of their instants."""
    for tenth_of_second in (0, 3, 7):
        path = await created(editor, trigger=EACH_SECOND, target=webhook(receiver))
        seen = len(receiver.requests)
        await receiver.wait_for(seen + 1, within=10)
        await eventually(lambda tenth=tenth_of_second: datetime.now(UTC).microsecond // 100_000 == tenth, within=5)
        started_at = time.monotonic()
        answer = await (editor.delete(path) if change == "delete" else editor.post(f"{path}/pause"))
        assert answer.is_success
        assert time.monotonic() - started_at < 2, "a living dispatcher lets go at once"
        answered_at = datetime.now(UTC)
        marker = await created(editor, trigger=EACH_SECOND, target=webhook(receiver), payload={"marker": True})
        await eventually(lambda: sum(b"marker" in item.body for item in receiver.requests) >= 2, within=10)
        late = [item for item in receiver.requests if item.at > answered_at and b"marker" not in item.body]
        assert late == []
        await editor.delete(marker)
        receiver.requests.clear()


async def test_a_pause_until_an_instant_fires_at_that_instant_again_and_at_none_before(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    path = await created(editor, trigger=EACH_SECOND, misfire={"policy": "SKIP"}, target=webhook(receiver))
    await receiver.wait_for(1, within=10)
    paused_at = datetime.now(UTC)
    resume_at = paused_at.replace(microsecond=0) + timedelta(seconds=4)
    answer = await editor.post(f"{path}/pause", json={"resumeAt": resume_at.isoformat()})
    assert answer.status_code == 200, answer.text

    async def fired_since() -> list[datetime]:
        ended = await history(editor, path, status="COMPLETED")
        fired = sorted(datetime.fromisoformat(item["scheduledFor"]) for item in ended)
        return [at for at in fired if at > paused_at + timedelta(seconds=2)]

    [first, *_] = await eventually(fired_since, within=20)
    assert first == resume_at
    assert await history(editor, path, status="SKIPPED") == []


async def test_an_edit_is_what_is_delivered_from_its_answer_on(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    path = await created(editor, trigger=EACH_SECOND, target=webhook(receiver), payload={"version": 0})
    await receiver.wait_for(1, within=10)
    for version in range(1, 4):
        answer = await editor.patch(path, json={"payload": {"version": version}})
        assert answer.status_code == 200
        answered_at = datetime.now(UTC)
        newest = f'{{"version":{version}}}'.encode()
        await eventually(lambda newest=newest: any(item.body == newest for item in receiver.requests), within=10)
        after = {item.body for item in receiver.requests if item.at > answered_at}
        assert after == {newest}
    keys = [item.headers["idempotency-key"] for item in receiver.requests]
    assert len(keys) == len(set(keys)), "no instant is delivered twice by an edit"


async def test_a_deletion_does_not_wait_for_a_receiver_that_hangs(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    receiver.always(hang())
    path = await created(editor, trigger=EACH_SECOND, target=webhook(receiver))
    await receiver.wait_for(1, within=10)
    started_at = time.monotonic()
    assert (await editor.delete(path)).status_code == 204
    assert time.monotonic() - started_at < 3


async def test_a_deletion_while_its_dispatcher_is_killed_is_answered_soon_and_confirmed_once_the_lease_is_over(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    path = await created(editor, trigger=EACH_SECOND, target=webhook(receiver))
    await receiver.wait_for(1, within=10)
    await dispatcher.kill()
    started_at = time.monotonic()
    first = await editor.delete(path)
    assert first.status_code == 503, first.text
    assert time.monotonic() - started_at < 6

    async def confirmed() -> bool:
        return (await editor.delete(path)).status_code in (204, 404)

    await eventually(confirmed, within=20)
    assert (await editor.get(path)).status_code == 404
