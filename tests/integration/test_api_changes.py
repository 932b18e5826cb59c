"""Pause, resume, edit, delete and trigger: what becomes of the queue, and when the answer is given."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.api_server import definition
from tests.support.waiting import eventually

EACH_SECOND = {"type": "CRON", "cron": "* * * * * *"}
Connection = asyncpg.Connection


@pytest.fixture
async def store(connection: Connection) -> Connection:
    """A superuser's connection that finds the product's tables."""
    await connection.execute("SET search_path = scheduler")
    return connection


async def created(admin: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await admin.post("/schedules", json=definition(**more))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def path_of(admin: httpx.AsyncClient, **more: Any) -> str:
    return f"/schedules/{(await created(admin, **more))['id']}"


async def queued(store: Connection) -> list[asyncpg.Record]:
    return await store.fetch("SELECT * FROM due_queue ORDER BY scheduled_for")


async def ended(store: Connection) -> list[tuple[str, str]]:
    rows = await store.fetch("SELECT status, reason FROM ledger ORDER BY scheduled_for")
    return [(row["status"], row["reason"]) for row in rows]


async def make_due(store: Connection, count: int = 1) -> None:
    """Let the first occurrences in the queue have been due for a second, and nobody have claimed them."""
    await store.execute(
        "UPDATE due_queue SET scheduled_for = now() - interval '1 s', due_at = now() - interval '1 s' WHERE id IN"
        " (SELECT id FROM due_queue ORDER BY scheduled_for LIMIT $1)",
        count,
    )


async def hold_first(store: Connection, seconds: float = 15) -> int:
    """Let a living dispatcher hold the first occurrence in the queue ahead of its instant; return its number."""
    number = await store.fetchval("INSERT INTO dispatcher (name) VALUES ('tests') RETURNING id")
    await store.execute(
        "UPDATE due_queue SET lease_until = now() + make_interval(secs => $1), lease_token = 1, leased_by = $2"
        " WHERE id = (SELECT id FROM due_queue WHERE due_at > now() + interval '1 s' ORDER BY scheduled_for LIMIT 1)",
        seconds,
        number,
    )
    return int(number)


async def test_a_pause_forgets_what_lies_ahead_and_tells_what_was_due(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await make_due(store, 2)
    answer = await admin.post(f"{path}/pause", json={"reason": "stocktaking"})
    paused = answer.json()
    assert (paused["state"], paused["enabled"], paused["stateReason"]) == ("PAUSED", False, "stocktaking")
    assert paused["nextFireAt"] is None
    assert (paused["version"], paused["revision"]) == (2, 1)
    assert await queued(store) == []
    assert await ended(store) == [("CANCELLED", "schedule-paused")] * 2
    assert await store.fetchval("SELECT run_count FROM schedule_cursor") == 0


async def test_pause_and_resume_are_idempotent(admin: httpx.AsyncClient) -> None:
    path = await path_of(admin)
    first = await admin.post(f"{path}/pause", json={"reason": "x"})
    again = await admin.post(f"{path}/pause")
    other = await admin.post(f"{path}/pause", json={"reason": "y"})
    assert [answer.json()["version"] for answer in (first, again, other)] == [2, 2, 3]
    resumed = [await admin.post(f"{path}/resume") for _ in range(2)]
    assert [answer.json()["version"] for answer in resumed] == [4, 4]
    assert resumed[1].json()["state"] == "ACTIVE"


async def test_a_resume_plans_from_now(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await admin.post(f"{path}/pause")
    before = await ended(store)  # of a second that passed before the pause
    await store.execute("UPDATE schedule SET paused_at = now() - interval '1 h'")
    resumed = (await admin.post(f"{path}/resume")).json()
    rows = await queued(store)
    assert len(rows) >= 59
    assert resumed["nextFireAt"] == rows[0]["scheduled_for"].isoformat().replace("+00:00", "Z")
    assert await ended(store) == before


async def test_a_resume_that_catches_up_goes_by_the_misfire_policy(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger={"type": "CRON", "cron": "* * * * *"})
    await admin.post(f"{path}/pause")
    await eventually(lambda: datetime.now(UTC).second >= 2, within=5)  # a minute that has just begun is not missed yet
    await store.execute("UPDATE schedule SET paused_at = date_trunc('minute', now()) - interval '9 min 59 s'")
    await admin.post(f"{path}/resume", json={"catchUp": True})
    reasons = {reason for _, reason in await ended(store)}
    late = [row for row in await queued(store) if row["due_at"] < datetime.now(UTC) - timedelta(seconds=1)]
    assert reasons == {"misfire-coalesced"}
    assert len(await ended(store)) == 9
    assert len(late) == 1


async def test_a_pause_may_name_its_end(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin)
    refused = await admin.post(f"{path}/pause", json={"resumeAt": "2020-01-01T00:00:00Z"})
    assert refused.json()["errors"][0]["pointer"] == "/resumeAt"
    refused = await admin.post(f"{path}/pause", json={"resumeAt": "9999-12-31T23:59:59-14:00"})
    assert refused.json()["errors"][0]["code"] == "out-of-range"
    assert (await admin.post(f"{path}/pause", json={"resumeAt": "2030-01-01T00:00:00Z"})).status_code == 200
    assert await store.fetchval("SELECT resume_at FROM schedule") == datetime(2030, 1, 1, tzinfo=UTC)
    assert (await admin.patch(path, json={"name": "x"})).status_code == 200
    assert await store.fetchval("SELECT resume_at FROM schedule") == datetime(2030, 1, 1, tzinfo=UTC)
    await admin.post(f"{path}/resume")
    assert await store.fetchval("SELECT resume_at FROM schedule") is None


async def test_patching_enabled_is_pausing_and_resuming(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    assert (await admin.patch(path, json={"enabled": False})).json()["state"] == "PAUSED"
    assert await queued(store) == []
    assert (await admin.patch(path, json={"enabled": True})).json()["state"] == "ACTIVE"
    assert len(await queued(store)) >= 59


async def test_a_manual_occurrence_works_while_paused_and_outlives_pause_and_edit(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin)
    await admin.post(f"{path}/pause")
    answer = await admin.post(f"{path}/trigger")
    manual = answer.json()
    assert answer.status_code == 202
    assert (manual["kind"], manual["status"]) == ("MANUAL", "PENDING")
    assert answer.headers["location"] == f"/occurrences/{manual['id']}"
    await admin.post(f"{path}/resume")
    await admin.post(f"{path}/pause")
    await admin.patch(path, json={"payload": {"a": 1}})
    assert [(str(row["id"]), row["kind"]) for row in await queued(store)] == [(manual["id"], "MANUAL")]
    assert (await queued(store))[0]["revision"] == 2
    await admin.delete(path)
    assert await ended(store) == [("CANCELLED", "schedule-deleted")]


async def test_triggering_what_is_not_there_is_not_found(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/schedules/01a2044f-22cf-707c-9f02-83c22ebba76e/trigger")
    assert answer.status_code == 404


async def test_a_deletion_ends_what_waits_and_keeps_the_history(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await make_due(store)
    await store.execute(
        "UPDATE due_queue SET first_fired_at = now(), attempt_count = 1 WHERE id ="
        " (SELECT id FROM due_queue ORDER BY scheduled_for LIMIT 1)"
    )
    assert (await admin.delete(path)).status_code == 204
    assert await queued(store) == []
    assert await ended(store) == [("CANCELLED", "schedule-deleted")]
    assert await store.fetchval("SELECT count(*) FROM schedule_cursor") == 0
    history = (await admin.get(f"{path}/occurrences")).json()
    assert [item["status"] for item in history["items"]] == ["CANCELLED"]


async def test_an_edit_of_the_payload_keeps_the_instants_and_their_places(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await make_due(store)
    before = await queued(store)
    patched = (await admin.patch(path, json={"payload": {"a": 1}})).json()
    after = await queued(store)
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert {row["revision"] for row in after} == {2} == {patched["revision"]}
    assert await ended(store) == []


async def test_an_edit_of_the_rule_plans_anew_in_the_same_transaction(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await hold_first(store, seconds=0)
    before = {row["id"] for row in await queued(store)}
    patched = (await admin.patch(path, json={"trigger": {"cron": "*/2 * * * * *"}})).json()
    rows = await queued(store)
    assert 29 <= len(rows) <= 31
    assert {row["revision"] for row in rows} == {2}
    assert {row["id"] for row in rows[:-2]} <= before, "the same instant is the same occurrence"
    assert all(row["lease_token"] >= 1024 for row in rows), "no token of before the edit fits"
    assert patched["nextFireAt"] == rows[0]["scheduled_for"].isoformat().replace("+00:00", "Z")
    assert await store.fetchval("SELECT run_count FROM schedule_cursor") == len(rows)


async def test_what_waits_for_another_attempt_survives_an_edit_and_no_pause(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await make_due(store)
    await store.execute("UPDATE due_queue SET first_fired_at = now(), attempt_count = 1 WHERE due_at < now()")
    await admin.patch(path, json={"trigger": {"cron": "0 0 1 1 *"}})
    assert [row["revision"] for row in await queued(store)] == [1]
    await admin.post(f"{path}/pause")
    assert await ended(store) == [("CANCELLED", "schedule-paused")]


async def test_an_occurrence_that_ended_is_not_planned_again_by_a_move_to_another_zone(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    """Nine o'clock of a day is one occurrence, wherever the schedule moves: its id is made of the local time."""
    path = await path_of(admin, tz="Etc/GMT-2", trigger=EACH_SECOND)
    await store.execute(
        "INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,"
        " fired_at, ended_at) SELECT tenant_id, id, schedule_id, kind, 1, scheduled_for, due_at, 'COMPLETED', 1, now(),"
        " now() FROM due_queue WHERE scheduled_for > now() + interval '20 s'"
    )
    told = {row["id"] for row in await store.fetch("SELECT id FROM ledger")}
    await admin.patch(path, json={"jitterSec": 1})
    assert told.isdisjoint(row["id"] for row in await queued(store))


async def test_a_completed_schedule_lives_again_with_a_new_instant(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger={"type": "ONE_SHOT", "startAt": "2030-01-01T00:00:00Z"})
    await store.execute("UPDATE schedule SET state = 'COMPLETED'")
    await store.execute("UPDATE schedule_cursor SET next_fire_at = NULL, run_count = 1")
    renamed = (await admin.patch(path, json={"name": "x"})).json()
    assert renamed["state"] == "COMPLETED"
    revived = (await admin.patch(path, json={"trigger": {"startAt": "2031-01-01T00:00:00Z"}})).json()
    assert (revived["state"], revived["nextFireAt"]) == ("ACTIVE", "2031-01-01T00:00:00Z")


async def test_a_schedule_whose_window_is_closed_is_completed(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    closed = (await admin.patch(path, json={"endAt": "2020-01-01T00:00:00Z"})).json()
    assert (closed["state"], closed["nextFireAt"]) == ("COMPLETED", None)
    assert await queued(store) == []
    assert (await admin.patch(path, json={"endAt": None})).json()["state"] == "ACTIVE"


async def test_runs_that_were_had_count_against_a_new_limit(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND, endAt="2099-01-01T00:00:00Z")
    await admin.post(f"{path}/pause")
    await store.execute("UPDATE schedule_cursor SET run_count = 7")
    await admin.post(f"{path}/resume")
    limited = (await admin.patch(path, json={"maxRuns": 10})).json()
    assert len(await queued(store)) == 3
    assert limited["state"] == "ACTIVE"
    assert (await admin.patch(path, json={"maxRuns": 7})).json()["state"] == "COMPLETED"
    assert await queued(store) == []


async def test_an_edit_that_would_never_fire_is_refused_and_changes_nothing(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    before = await queued(store)
    answer = await admin.patch(path, json={"trigger": {"type": "ONE_SHOT", "startAt": "2020-01-01T00:00:00Z"}})
    assert answer.status_code == 422
    assert await queued(store) == before
    assert (await admin.get(path)).json()["version"] == 1


DELAY = {"type": "FIXED_DELAY", "delaySec": 600}


async def test_a_delay_keeps_its_due_instant_through_an_edit_of_something_else(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=DELAY)
    was_due = (await admin.get(path)).json()["nextFireAt"]
    assert (await admin.patch(path, json={"jitterSec": 5})).json()["nextFireAt"] == was_due
    changed = (await admin.patch(path, json={"trigger": {"delaySec": 1200}})).json()["nextFireAt"]
    ahead = datetime.fromisoformat(changed) - datetime.now(UTC)
    assert timedelta(seconds=1190) < ahead <= timedelta(seconds=1200)


async def test_a_delay_waits_for_the_end_of_what_is_under_way(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger={"type": "FIXED_DELAY", "delaySec": 5})
    await store.execute(
        "UPDATE due_queue SET scheduled_for = now(), due_at = now(), start_tag = now(), leased_by = 1,"
        " lease_until = now() + interval '15 s'"
    )
    patched = (await admin.patch(path, json={"jitterSec": 1})).json()
    assert (patched["state"], patched["nextFireAt"]) == ("ACTIVE", patched["nextFireAt"])
    assert await store.fetchval("SELECT next_fire_at FROM schedule_cursor") is None
    assert len(await queued(store)) == 1


async def test_a_resumed_delay_runs_a_delay_after_its_last_end(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=DELAY)
    await admin.post(f"{path}/pause")
    resumed = (await admin.post(f"{path}/resume")).json()
    created_at = datetime.fromisoformat(resumed["createdAt"])
    assert datetime.fromisoformat(resumed["nextFireAt"]) == created_at + timedelta(seconds=600)


@pytest.mark.parametrize("change", ["delete", "pause", "edit"])
async def test_a_change_is_answered_when_the_holder_has_let_go(
    admin: httpx.AsyncClient, store: Connection, change: str
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    number = await hold_first(store)
    heard: list[str] = []
    await store.add_listener("scheduler_revoked", lambda *notification: heard.append(notification[-1]))
    requests = {
        "delete": lambda: admin.delete(path),
        "pause": lambda: admin.post(f"{path}/pause"),
        "edit": lambda: admin.patch(path, json={"payload": 1}),
    }
    asked = asyncio.create_task(requests[change]())
    sequence = await eventually(lambda: store.fetchval("SELECT sequence FROM revocation"), within=5)
    await eventually(lambda: heard == [str(sequence)], within=5)
    assert not asked.done(), "answered before the dispatcher confirmed"
    await store.execute("UPDATE dispatcher SET obeyed = ARRAY[$1::bigint] WHERE id = $2", sequence, number)
    assert (await asyncio.wait_for(asked, 5)).is_success


async def obeyed(store: Connection, number: int) -> None:
    """Let the dispatcher confirm all that it was told."""
    await store.execute(
        "UPDATE dispatcher SET obeyed = (SELECT array_agg(sequence) FROM revocation) WHERE id = $1", number
    )


KEY = {"Idempotency-Key": "once-and-for-all"}


@pytest.mark.parametrize(
    ("method", "place", "sent", "codes"),
    [
        ("POST", "/pause", {"headers": KEY}, [200, 200]),
        ("POST", "/pause", {}, [200, 200]),
        ("PATCH", "", {"json": {"trigger": {"cron": "0 0 1 1 *"}}}, [200, 200]),
        ("DELETE", "", {}, [204, 404]),
    ],
)
async def test_a_repetition_is_answered_no_sooner_than_the_holder_has_let_go(
    admin: httpx.AsyncClient, store: Connection, method: str, place: str, sent: dict[str, Any], codes: list[int]
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    number = await hold_first(store)
    first = asyncio.create_task(admin.request(method, f"{path}{place}", **sent))
    await eventually(lambda: store.fetchval("SELECT sequence FROM revocation"), within=5)
    again = asyncio.create_task(admin.request(method, f"{path}{place}", **sent))
    answered, _ = await asyncio.wait((first, again), timeout=0.5)
    assert not answered, "answered before the dispatcher confirmed"
    await obeyed(store, number)
    answers = await asyncio.wait_for(asyncio.gather(first, again), 5)
    assert [answer.status_code for answer in answers] == codes
    assert await store.fetchval("SELECT count(*) FROM revocation") == 1


BEAT = {
    "name": "beat",
    "parameters": {
        "type": "object",
        "properties": {"topic": {"type": "string", "maxLength": 20}},
        "required": ["topic"],
        "additionalProperties": False,
    },
    "blueprint": {
        "name": "beat ${key}",
        "trigger": EACH_SECOND,
        "target": {"kind": "EVENT", "eventTopic": "beat"},
        "payload": {"topic": "${topic}"},
    },
}


async def test_a_repeated_batch_of_instances_is_answered_no_sooner_than_the_holder_has_let_go(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    defined = await admin.post("/templates", json=BEAT)
    assert defined.status_code == 201, defined.text

    async def batch(topic: str) -> str:
        lines = [{"key": "one", "parameters": {"topic": topic}}]
        return (await admin.post("/templates/beat/instances:batch", json=lines, timeout=10)).text

    await batch("before")
    number = await hold_first(store)
    first = asyncio.create_task(batch("after"))
    await eventually(lambda: store.fetchval("SELECT sequence FROM revocation"), within=5)
    again = asyncio.create_task(batch("after"))
    answered, _ = await asyncio.wait((first, again), timeout=0.5)
    assert not answered, "answered before the dispatcher confirmed"
    await obeyed(store, number)
    texts = await asyncio.wait_for(asyncio.gather(first, again), 5)
    assert ["CHANGED" in text for text in texts] == [True, True]
    assert "UNCHANGED" in texts[1]


async def test_a_change_that_a_silent_holder_delays_is_answered_within_five_seconds_and_its_repetition_truly(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    number = await hold_first(store, seconds=60)
    began = asyncio.get_running_loop().time()
    delayed = await admin.post(f"{path}/pause", headers=KEY)
    assert asyncio.get_running_loop().time() - began < 5.5
    assert (delayed.status_code, delayed.headers["retry-after"]) == (503, "2")
    await obeyed(store, number)
    repeated = await admin.post(f"{path}/pause", headers=KEY)
    assert (repeated.status_code, repeated.json()["state"]) == (200, "PAUSED")


async def test_a_holder_that_renewed_its_lease_since_is_waited_for_as_well(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    number = await hold_first(store, seconds=1)
    asked = asyncio.create_task(admin.post(f"{path}/pause"))
    held_until = await eventually(lambda: store.fetchval("SELECT held_until FROM revocation"), within=5)
    await store.execute("UPDATE due_queue SET lease_until = now() + interval '1 min' WHERE leased_by = $1", number)
    await eventually(lambda: datetime.now(UTC) > held_until + timedelta(milliseconds=200), within=5)
    assert not asked.done()
    await obeyed(store, number)
    assert (await asyncio.wait_for(asked, 5)).status_code == 200


async def test_a_holder_that_is_gone_is_waited_for_until_its_lease_ends(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await hold_first(store, seconds=1)
    started_at = await store.fetchval("SELECT clock_timestamp()")
    lease_until = await store.fetchval("SELECT max(lease_until) FROM due_queue")
    assert (await admin.delete(path)).status_code == 204
    ended_at = await store.fetchval("SELECT clock_timestamp()")
    assert lease_until <= ended_at < started_at + timedelta(seconds=5)


async def test_a_holder_that_left_in_order_is_not_waited_for(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await hold_first(store, seconds=60)
    await store.execute("DELETE FROM dispatcher")
    assert (await asyncio.wait_for(admin.delete(path), 5)).status_code == 204


async def test_an_edit_that_no_delivery_reads_disturbs_no_holder(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await hold_first(store, seconds=60)
    assert (await asyncio.wait_for(admin.patch(path, json={"labels": {"a": "b"}}), 5)).status_code == 200
    assert await store.fetchval("SELECT count(*) FROM revocation") == 0
    assert await store.fetchval("SELECT count(*) FROM due_queue WHERE lease_until > now()") == 1


async def test_what_is_under_way_is_left_to_its_holder(admin: httpx.AsyncClient, store: Connection) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    await make_due(store)
    await store.execute("UPDATE due_queue SET lease_until = now() + interval '9 s', leased_by = 1 WHERE due_at < now()")
    await admin.delete(path)
    assert len(await queued(store)) == 1
    assert await ended(store) == []


async def test_changes_and_planning_at_the_same_time_leave_one_row_for_each_instant(
    admin: httpx.AsyncClient, store: Connection
) -> None:
    path = await path_of(admin, trigger=EACH_SECOND)
    edits = [admin.patch(path, json={"jitterSec": number % 2}) for number in range(6)]
    pauses = [admin.post(f"{path}/{action}") for action in ("pause", "resume") * 3]
    answers = await asyncio.gather(*edits, *pauses)
    assert {answer.status_code for answer in answers} == {200}
    await admin.post(f"{path}/resume")
    rows = await queued(store)
    assert len({row["scheduled_for"] for row in rows}) == len(rows)
    assert await store.fetchval("SELECT run_count FROM schedule_cursor") == len(rows)
