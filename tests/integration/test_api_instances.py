"""Instances of templates over HTTP: under the caller's own key, changed without firing twice."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from scheduler_domain.domain.ids import occurrence_id
from tests.integration.api_server import RunningApi

ADA = {"firstName": "Ada", "lastName": "Lovelace", "dateOfBirth": "1988-03-14", "tz": "Europe/London"}
Connection = asyncpg.Connection


def put(client: httpx.AsyncClient, key: str = "ada", /, template: str = "birthday", **changes: Any) -> Any:
    return client.put(f"/templates/{template}/instances/{key}", json={"parameters": {**ADA, **changes}})


async def schedule_of(client: httpx.AsyncClient, instance: dict[str, Any]) -> dict[str, Any]:
    return (await client.get(f"/schedules/{instance['scheduleId']}")).json()


def born_today(tz_is_utc: datetime) -> dict[str, str]:
    return {"dateOfBirth": f"1988-{tz_is_utc:%m-%d}", "tz": "UTC"}


async def test_an_instance_is_a_schedule_under_the_callers_key(editor: httpx.AsyncClient) -> None:
    made = await put(editor)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/templates/birthday/instances/ada"
    instance = made.json()
    assert instance["parameters"] == ADA
    assert (instance["template"], instance["templateVersion"], instance["state"]) == ("birthday", 1, "ACTIVE")
    schedule = await schedule_of(editor, instance)
    assert schedule["payload"] == "Hey, Ada Lovelace it's your birthday"
    assert schedule["trigger"]["rrule"] == "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=14"
    assert schedule["tz"] == "Europe/London"
    assert schedule["nextFireAt"] == instance["nextFireAt"]
    assert (await editor.get("/templates/birthday/instances/ada")).content == made.content


async def test_the_same_parameters_change_nothing(editor: httpx.AsyncClient) -> None:
    made = await put(editor)
    again = await editor.put(
        "/templates/birthday/instances/ada", json={"parameters": dict(reversed(list(ADA.items())))}
    )
    assert (again.status_code, again.content) == (200, made.content)
    matching = await editor.put(
        "/templates/birthday/instances/ada", json={"parameters": ADA}, headers={"If-Match": '"9"'}
    )
    assert matching.status_code == 412


async def test_a_changed_date_or_zone_moves_the_schedule(editor: httpx.AsyncClient) -> None:
    made = (await put(editor)).json()
    moved = await put(editor, tz="Asia/Tokyo", dateOfBirth="1988-05-01")
    assert moved.status_code == 200
    assert moved.json()["scheduleId"] == made["scheduleId"]
    assert moved.json()["nextFireAt"][4:] == "-05-01T00:00:00Z"
    assert moved.headers["etag"] == '"2"'


async def test_a_deleted_instance_is_gone_with_its_schedule(editor: httpx.AsyncClient) -> None:
    instance = (await put(editor)).json()
    assert (await editor.delete("/templates/birthday/instances/ada")).status_code == 204
    assert (await editor.get(f"/schedules/{instance['scheduleId']}")).status_code == 404
    assert (await editor.get("/templates/birthday/instances/ada")).status_code == 404
    assert (await editor.delete("/templates/birthday/instances/ada")).status_code == 404


async def test_a_deleted_schedule_takes_its_instance_along(editor: httpx.AsyncClient) -> None:
    instance = (await put(editor)).json()
    await editor.delete(f"/schedules/{instance['scheduleId']}")
    assert (await editor.get("/templates/birthday/instances/ada")).status_code == 404
    assert (await put(editor)).status_code == 201


async def test_instances_are_listed_in_the_order_of_their_keys(editor: httpx.AsyncClient) -> None:
    for key in ("b", "a", "B", "c.1", "c-1"):
        assert (await put(editor, key)).status_code == 201
    listed = (await editor.get("/templates/birthday/instances", params={"pageSize": 2})).json()
    keys = [item["key"] for item in listed["items"]]
    while listed["nextCursor"]:
        query = {"pageSize": 2, "cursor": listed["nextCursor"]}
        listed = (await editor.get("/templates/birthday/instances", params=query)).json()
        keys += [item["key"] for item in listed["items"]]
    assert keys == ["B", "a", "b", "c-1", "c.1"]
    assert listed["total"] == 5
    second = (await editor.get("/templates/birthday/instances", params={"pageSize": 2, "page": 2})).json()
    assert [item["key"] for item in second["items"]] == ["b", "c-1"]


async def test_parameters_that_do_not_fit_are_told_by_place(editor: httpx.AsyncClient) -> None:
    answer = await put(editor, dateOfBirth="1988-02-30", tz="Europe/Londn", frstName="A")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/parameters/frstName"]
    answer = await put(editor, dateOfBirth="1988-02-30", tz="Europe/Londn")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/parameters/dateOfBirth", "/parameters/tz"}
    answer = await put(editor, target={"kind": "EVENT", "eventTopic": "a..b"})
    assert answer.json()["errors"][0]["pointer"] == "/schedule/target/eventTopic"
    answer = await put(editor, "no key")
    assert answer.json()["errors"][0]["pointer"] == "/key"


async def test_a_dollar_in_a_name_is_no_place(editor: httpx.AsyncClient) -> None:
    instance = (await put(editor, firstName="${tenantId}", lastName="$$")).json()
    schedule = await schedule_of(editor, instance)
    assert schedule["payload"] == "Hey, $${tenantId} $$$$ it's your birthday"
    assert schedule["name"] == "Birthday of ${tenantId} $$"


async def test_a_birthday_within_the_minute_is_in_the_queue_at_once(api: RunningApi, connection: Connection) -> None:
    client = await api.caller("acme", "editor")
    soon = datetime.now(UTC) + timedelta(seconds=30)
    answer = await put(client, **born_today(soon), sendAt=f"{soon:%H:%M:%S}")
    assert answer.status_code == 201, answer.text
    rows = await connection.fetch("SELECT scheduled_for, schedule_id FROM scheduler.due_queue")
    assert [row["scheduled_for"] for row in rows] == [soon.replace(microsecond=0)]
    moved = await put(client, **born_today(soon), sendAt=f"{soon + timedelta(seconds=5):%H:%M:%S}")
    rows = await connection.fetch("SELECT scheduled_for FROM scheduler.due_queue")
    assert [row["scheduled_for"] for row in rows] == [soon.replace(microsecond=0) + timedelta(seconds=5)]
    assert moved.json()["nextFireAt"] == f"{soon + timedelta(seconds=5):%Y-%m-%dT%H:%M:%SZ}"


async def fired(connection: Connection, schedule: dict[str, Any], at: datetime, local: datetime) -> UUID:
    """Say in the ledger that the schedule fired at an instant, which was this local time."""
    nominal = local.replace(tzinfo=None)
    order_ms = int(nominal.replace(tzinfo=UTC).timestamp() * 1000)
    identity = occurrence_id("acme", UUID(schedule["id"]), "SCHEDULED", nominal.isoformat(), order_ms)
    await connection.execute(
        "INSERT INTO scheduler.ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status,"
        " attempt_count, fired_at, ended_at) VALUES ('acme', $1, $2, 'SCHEDULED', 1, $3, $3, 'COMPLETED', 1, $3, $3)",
        identity,
        UUID(schedule["id"]),
        at,
    )
    return identity


async def test_an_instance_that_fired_today_is_not_moved_to_later_today(
    api: RunningApi, connection: Connection
) -> None:
    client = await api.caller("acme", "editor")
    now = datetime.now(UTC).replace(microsecond=0)
    was_at = now - timedelta(seconds=5)
    instance = (await put(client, **born_today(was_at), sendAt=f"{was_at:%H:%M:%S}")).json()
    await fired(connection, await schedule_of(client, instance), was_at, was_at)
    # The last second of the day still lies ahead; were it the day's own time, the greeting would come again.
    moved = (await put(client, **born_today(was_at), sendAt="23:59:59")).json()
    assert moved["nextFireAt"][:4] == f"{was_at.year + 1}"
    assert moved["version"] == 2


@pytest.mark.parametrize("moved_when", ["before the pause", "in the pause"])
async def test_a_pause_does_not_begin_a_day_anew_on_which_an_instance_fired(
    api: RunningApi, connection: Connection, moved_when: str
) -> None:
    client = await api.caller("acme", "editor")
    was_at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
    instance = (await put(client, **born_today(was_at), sendAt=f"{was_at:%H:%M:%S}")).json()
    await fired(connection, await schedule_of(client, instance), was_at, was_at)
    schedule = f"/schedules/{instance['scheduleId']}"
    if moved_when == "in the pause":
        await client.post(f"{schedule}/pause")
    await put(client, **born_today(was_at), sendAt="23:59:59")
    if moved_when == "before the pause":
        await client.post(f"{schedule}/pause")
    resumed = (await client.post(f"{schedule}/resume")).json()
    assert resumed["nextFireAt"][:4] == f"{was_at.year + 1}"


async def test_a_zone_that_gives_the_same_local_time_again_does_not_repeat_it(
    api: RunningApi, connection: Connection
) -> None:
    client = await api.caller("acme", "editor")
    now = datetime.now(UTC).replace(microsecond=0)
    was_at = now - timedelta(seconds=5)
    instance = (await put(client, **born_today(was_at), sendAt=f"{was_at:%H:%M:%S}")).json()
    await fired(connection, await schedule_of(client, instance), was_at, was_at)
    moved = (await put(client, dateOfBirth=f"1988-{was_at:%m-%d}", tz="Etc/GMT+9", sendAt=f"{was_at:%H:%M:%S}")).json()
    assert moved["nextFireAt"][:4] == f"{was_at.year + 1}"


async def test_a_pause_outlives_a_change_of_parameters(editor: httpx.AsyncClient, standing_api: RunningApi) -> None:
    instance = (await put(editor)).json()
    await editor.post(f"/schedules/{instance['scheduleId']}/pause")
    moved = (await put(editor, tz="Asia/Tokyo")).json()
    assert (moved["state"], moved["nextFireAt"]) == ("PAUSED", None)
    assert (await schedule_of(editor, moved))["tz"] == "Asia/Tokyo"


async def test_a_reminder_that_is_past_is_refused(editor: httpx.AsyncClient) -> None:
    asked = {"parameters": {"text": "Hello", "date": "2020-01-01", "tz": "UTC"}}
    answer = await editor.put("/templates/reminder/instances/r", json=asked)
    assert answer.json()["errors"][0]["code"] == "one-shot-past"
    asked["parameters"]["date"] = "2099-01-01"
    made = (await editor.put("/templates/reminder/instances/r", json=asked)).json()
    assert made["nextFireAt"] == "2099-01-01T09:00:00Z"
