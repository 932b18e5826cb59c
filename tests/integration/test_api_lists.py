"""Lists of schedules and occurrences: filters, orders, pages and cursors."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from scheduler_domain.domain.ids import occurrence_id
from tests.integration.api_server import EVENT, RunningApi, definition

Connection = asyncpg.Connection
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def walked(client: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Follow the cursors to the end and return all items."""
    items: list[dict[str, Any]] = []
    page = (await client.get(path, params=query)).json()
    while True:
        items += page["items"]
        if page["nextCursor"] is None:
            return items
        page = (await client.get(path, params={**query, "cursor": page["nextCursor"]})).json()


@pytest.fixture
async def seven(editor: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Seven schedules, in the order in which they were made."""
    made = []
    for number in range(7):
        more: dict[str, Any] = {"trigger": {"type": "CRON", "cron": f"{number} {(number * 5) % 24} * * *"}}
        if number == 3:
            more = {"trigger": {"type": "FIXED_DELAY", "delaySec": 90_000}, "labels": {"team": "a", "env": "x"}}
        if number == 5:
            target = {"kind": "HTTP", "http": {"url": "https://example.com/"}}
            more = {"enabled": False, "target": target, "labels": {"team": "a"}, "key": "the.key"}
        made.append((await editor.post("/schedules", json=definition(name=f"n{(number * 3) % 7} %_", **more))).json())
    return made


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "name", "-name", "nextFireAt", "-nextFireAt"])
async def test_cursors_walk_every_schedule_once_in_order(
    editor: httpx.AsyncClient, seven: list[dict[str, Any]], sort: str
) -> None:
    found = await walked(editor, "/schedules", sort=sort, pageSize=2)
    place = sort.removeprefix("-")
    last = "9999"
    wanted = sorted(seven, key=lambda item: (item[place] or last, item["id"]), reverse=sort.startswith("-"))
    assert [item["id"] for item in found] == [item["id"] for item in wanted]


async def test_pages_and_totals_are_told(editor: httpx.AsyncClient, seven: list[dict[str, Any]]) -> None:
    page = (await editor.get("/schedules", params={"page": 3, "pageSize": 3, "sort": "createdAt"})).json()
    assert [item["id"] for item in page["items"]] == [seven[6]["id"]]
    assert (page["page"], page["pageSize"], page["total"], page["nextCursor"]) == (3, 3, 7, None)
    beyond = (await editor.get("/schedules", params={"page": 9})).json()
    assert (beyond["items"], beyond["total"]) == ([], 7)


async def test_the_newest_schedule_comes_first_by_default(
    editor: httpx.AsyncClient, seven: list[dict[str, Any]]
) -> None:
    assert (await editor.get("/schedules")).json()["items"][0]["id"] == seven[-1]["id"]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("state=PAUSED", {5}),
        ("enabled=true", {0, 1, 2, 3, 4, 6}),
        ("enabled=false", {5}),
        ("label=team:a", {3, 5}),
        ("label=team:a&label=env:x", {3}),
        ("label=team:b", set()),
        ("q=N3", {1}),
        ("q=HE.K", {5}),
        ("q=%25_", {0, 1, 2, 3, 4, 5, 6}),
        ("q=n_", set()),
        ("trigger=FIXED_DELAY", {3}),
        ("targetKind=HTTP", {5}),
        ("targetKind=EVENT&trigger=CRON&state=ACTIVE", {0, 1, 2, 4, 6}),
    ],
)
async def test_filters_choose(
    editor: httpx.AsyncClient, seven: list[dict[str, Any]], query: str, numbers: set[int]
) -> None:
    page = (await editor.get(f"/schedules?{query}")).json()
    assert {item["id"] for item in page["items"]} == {seven[number]["id"] for number in numbers}
    assert page["total"] == len(numbers)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("page=0", "/query/page"),
        ("page=x", "/query/page"),
        ("page=\u0661", "/query/page"),
        ("pageSize=201", "/query/pageSize"),
        ("page=51&pageSize=200", "/query/page"),
        ("sort=nme", "/query/sort"),
        ("state=active", "/query/state"),
        ("stat=ACTIVE", "/query/stat"),
        ("state=ACTIVE&state=PAUSED", "/query/state"),
        ("label=team", "/query/label"),
        ("label=a:b&label=a:c", "/query/label"),
        ("q=", "/query/q"),
        ("q=a%00b", "/query/q"),
        ("q=%ff", "/query"),
        ("cursor=nonsense", "/query/cursor"),
        ("cursor=WyJuYW1lIiwiYSIsIngiXQ", "/query/cursor"),
        ("cursor=" + "x" * 3000, "/query/cursor"),
        ("enabled=yes", "/query/enabled"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(editor: httpx.AsyncClient, query: str, pointer: str) -> None:
    answer = await editor.get(f"/schedules?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_cursor_of_another_order_is_refused(editor: httpx.AsyncClient, seven: list[dict[str, Any]]) -> None:
    page = (await editor.get("/schedules", params={"pageSize": 2, "sort": "name"})).json()
    answer = await editor.get("/schedules", params={"sort": "-name", "cursor": page["nextCursor"]})
    assert answer.json()["errors"][0]["code"] == "invalid-cursor"


async def remember(
    store: Connection, schedule_id: UUID, number: int, status: str, *, reason: str | None = None, tries: int = 1
) -> UUID:
    """Write an ended occurrence of minute `number` after noon into the ledger, with the attempts before its last."""
    at = NOON + timedelta(minutes=number)
    identity = occurrence_id("acme", schedule_id, "SCHEDULED", at.isoformat(), int(at.timestamp() * 1000))
    fired_at = at + timedelta(seconds=tries) if status in {"COMPLETED", "FAILED"} else None
    for attempt in range(1, tries if fired_at else 1):
        await store.execute(
            "INSERT INTO scheduler.attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome,"
            " status_code, error) VALUES ('acme', $1, $2, $3, 7, 'FAILED', 503, 'unavailable')",
            identity,
            attempt,
            at + timedelta(seconds=attempt),
        )
    await store.execute(
        "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
        " reason, attempt_count, fired_at, ended_at, duration_ms, lateness_ms, status_code, error)"
        " VALUES ('acme', $1, $2, 'SCHEDULED', 1, $3, $3, $4, $5, $6, $7, $8, 9, 1000, 200, NULL)",
        identity,
        schedule_id,
        at,
        status,
        reason,
        tries,
        fired_at,
        at + timedelta(seconds=30),
    )
    return identity


async def test_an_occurrence_is_shown_with_every_attempt(admin: httpx.AsyncClient, connection: Connection) -> None:
    schedule_id = UUID((await admin.post("/schedules", json=definition())).json()["id"])
    identity = await remember(connection, schedule_id, 0, "COMPLETED", tries=3)
    found = (await admin.get(f"/occurrences/{identity}")).json()
    assert [attempt["number"] for attempt in found["attempts"]] == [1, 2, 3]
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["FAILED", "FAILED", "DELIVERED"]
    assert found["attempts"][0] == {
        "number": 1,
        "startedAt": "2026-11-20T12:00:01Z",
        "durationMs": 7,
        "outcome": "FAILED",
        "statusCode": 503,
        "error": "unavailable",
        "responseExcerpt": None,
    }
    assert found["status"] == "COMPLETED"
    assert (found["scheduledFor"], found["completedAt"]) == ("2026-11-20T12:00:00Z", "2026-11-20T12:00:30Z")
    assert found["traceId"] == identity.hex
    assert (await admin.get(f"/schedules/{schedule_id}")).json()["lastFireAt"] == "2026-11-20T12:00:03Z"


async def test_queue_and_ledger_are_one_history_newest_first(admin: httpx.AsyncClient, connection: Connection) -> None:
    trigger = {"type": "CRON", "cron": "*/10 * * * * *"}
    schedule_id = UUID((await admin.post("/schedules", json=definition(trigger=trigger))).json()["id"])
    for number in range(5):
        await remember(connection, schedule_id, number, "SKIPPED", reason="misfire-coalesced")
    await connection.execute(
        "UPDATE scheduler.due_queue SET scheduled_for = now() - interval '1 s', due_at = now() - interval '1 s',"
        " lease_until = now() + interval '1 h', start_tag = now(), first_fired_at = now()"
        " WHERE id = (SELECT id FROM scheduler.due_queue ORDER BY scheduled_for LIMIT 1)"
    )
    found = await walked(admin, "/occurrences", pageSize=3)
    assert found == await walked(admin, f"/schedules/{schedule_id}/occurrences", pageSize=4)
    assert found == await walked(admin, "/occurrences", scheduleId=str(schedule_id), pageSize=200)
    instants = [item["scheduledFor"] for item in found]
    assert instants == sorted(instants, reverse=True)
    assert len(found) >= 10
    skipped = await walked(admin, "/occurrences", status="SKIPPED", pageSize=2)
    assert [item["id"] for item in skipped] == [item["id"] for item in found if item["status"] == "SKIPPED"]
    assert {item["reason"] for item in skipped} == {"misfire-coalesced"}
    page = (await admin.get("/occurrences", params={"page": 2, "pageSize": 4})).json()
    assert [item["id"] for item in page["items"]] == [item["id"] for item in found[4:8]]
    assert page["total"] == len(found)


async def test_the_window_of_a_history_includes_its_start_and_not_its_end(
    admin: httpx.AsyncClient, connection: Connection
) -> None:
    schedule_id = UUID((await admin.post("/schedules", json=definition())).json()["id"])
    for number in range(5):
        await remember(connection, schedule_id, number, "FAILED")
    window = {"from": "2026-11-20T12:01:00Z", "to": "2026-11-20T14:03:00+02:00", "status": "FAILED"}
    found = (await admin.get("/occurrences", params=window)).json()
    assert [item["scheduledFor"][14:16] for item in found["items"]] == ["02", "01"]
    backwards = await admin.get("/occurrences", params={"from": window["to"], "to": window["from"]})
    assert backwards.json()["errors"][0]["pointer"] == "/query/to"


async def test_a_history_of_nothing_is_not_found(admin: httpx.AsyncClient) -> None:
    schedule = (await admin.post("/schedules", json=definition())).json()
    assert (await admin.get(f"/schedules/{schedule['id']}/occurrences")).json()["items"] == []
    for nothing in ("01a2044f-22cf-707c-9f02-83c22ebba76e", "x", "01A2044F22CF707C9F0283C22EBBA76E"):
        assert (await admin.get(f"/schedules/{nothing}/occurrences")).status_code == 404
        assert (await admin.get(f"/occurrences/{nothing}")).status_code == 404


async def test_totals_stop_at_ten_thousand_and_cursors_do_not(
    api: RunningApi, admin: httpx.AsyncClient, connection: Connection
) -> None:
    schedule_id = UUID((await admin.post("/schedules", json=definition(target=EVENT))).json()["id"])
    await connection.execute(
        "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
        " reason, attempt_count, ended_at)"
        " SELECT 'acme', gen_random_uuid(), $1, 'SCHEDULED', 1, i, i, 'SKIPPED', 'test', 0, i"
        " FROM generate_series($2::timestamptz, $2 + interval '10099 s', interval '1 s') AS i",
        schedule_id,
        NOON,
    )
    page = (await admin.get("/occurrences", params={"page": 50, "pageSize": 200})).json()
    assert page["total"] == 10_000
    assert page["items"][-1]["scheduledFor"] == "2026-11-20T12:01:40Z"
    rest = (await admin.get("/occurrences", params={"cursor": page["nextCursor"], "pageSize": 200})).json()
    assert (len(rest["items"]), rest["nextCursor"]) == (100, None)
