"""Backfill, replay and cancel on the real processes: what a receiver sees of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.acceptance.test_api_and_dispatcher import created, dispatcher, editor, history, variables, webhook
from tests.support.processes import RunningProcess
from tests.support.receiver import Receiver, reply
from tests.support.waiting import eventually

__all__ = ["dispatcher", "editor", "variables"]  # fixtures

HOURLY = {"type": "CRON", "cron": "0 * * * *"}
ONCE = {"maxAttempts": 1}


async def in_status(editor: httpx.AsyncClient, path: str, status: str, count: int) -> list[dict[str, Any]]:
    async def told() -> list[dict[str, Any]] | None:
        items = await history(editor, path, status=status)
        return items if len(items) >= count else None

    return await eventually(told, within=15)


async def test_a_backfill_is_delivered_in_the_order_of_its_instants_while_live_work_is_on_time(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    live = await created(editor, trigger={"type": "CRON", "cron": "* * * * * *"})
    payload = {"at": "${scheduledFor}"}
    path = await created(editor, trigger=HOURLY, enabled=False, target=webhook(receiver), payload=payload)
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    assert (await editor.post(f"{path}/backfill", json=body)).json()["created"] == 744
    requests = await receiver.wait_for(744, within=60)
    assert len({item.headers["idempotency-key"] for item in requests}) == 744
    assert b"2026-01-01T00:00:00Z" in b"".join(item.body for item in requests[:50])
    await in_status(editor, path, "COMPLETED", 200)
    assert (await editor.post(f"{path}/backfill", json=body)).json()["created"] == 0
    live_ones = await in_status(editor, live, "COMPLETED", 3)
    assert max(item["latenessMs"] for item in live_ones) < 500


async def test_dead_letters_are_replayed_under_their_keys_once_the_receiver_is_mended(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    receiver.always(reply(500))
    path = await created(editor, trigger=HOURLY, target=webhook(receiver), retry=ONCE)
    await editor.post(f"{path}/backfill", json={"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T03:00:00Z"})
    failed = await in_status(editor, path, "FAILED", 3)
    keys = {item.headers["idempotency-key"] for item in receiver.requests}
    receiver.always(reply(204))
    assert (await editor.post(f"/occurrences/{failed[0]['id']}/replay")).status_code == 202
    await in_status(editor, path, "COMPLETED", 1)
    batch = await editor.post("/occurrences/replay", json={"status": "FAILED", "scheduleId": path.split("/")[-1]})
    assert batch.json() == {"replayed": 2, "notReplayed": 0, "nextCursor": None}
    completed = await in_status(editor, path, "COMPLETED", 3)
    assert {len((await editor.get(f"/occurrences/{item['id']}")).json()["attempts"]) for item in completed} == {2}
    assert {item.headers["idempotency-key"] for item in receiver.requests} == keys
    assert len(receiver.requests) == 6


async def test_after_the_answer_to_a_cancel_that_one_is_not_sent_and_its_neighbours_are(
    editor: httpx.AsyncClient, dispatcher: RunningProcess, receiver: Receiver
) -> None:
    """The dispatcher holds all of them by then, seconds ahead of their instant."""
    path = await created(editor, trigger={"type": "CRON", "cron": "* * * * * *"}, target=webhook(receiver))
    await receiver.wait_for(2, within=15)
    soon = datetime.now(UTC) + timedelta(seconds=2.5)
    ahead = [item for item in await history(editor, path) if datetime.fromisoformat(item["scheduledFor"]) > soon]
    chosen, neighbours = ahead[-1], {item["id"] for item in ahead[-3:-1]}
    answer = await editor.post(f"/occurrences/{chosen['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED"), answer.text

    def keys() -> set[str]:
        return {item.headers["idempotency-key"] for item in receiver.requests}

    await eventually(lambda: neighbours <= keys(), within=15)
    assert chosen["id"] not in keys()
    assert (await editor.get(f"/occurrences/{chosen['id']}")).json()["status"] == "CANCELLED"
