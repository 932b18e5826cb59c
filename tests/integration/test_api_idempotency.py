"""A repeated request under its key gets the answer it got, and causes nothing again."""

import asyncio

import asyncpg
import httpx

from tests.integration.api_server import RunningApi, definition

KEY = {"Idempotency-Key": "order-17"}
Connection = asyncpg.Connection


async def test_a_repetition_is_answered_as_the_first_time(admin: httpx.AsyncClient) -> None:
    first = await admin.post("/schedules", json=definition(), headers=KEY)
    again = await admin.post("/schedules", json=definition(), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert {name: first.headers[name] for name in ("etag", "location")} == {
        name: again.headers[name] for name in ("etag", "location")
    }
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert (await admin.get("/schedules")).json()["total"] == 1


async def test_repetitions_at_the_same_time_make_one_schedule(admin: httpx.AsyncClient) -> None:
    posts = [admin.post("/schedules", json=definition(), headers=KEY) for _ in range(12)]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (await admin.get("/schedules")).json()["total"] == 1


async def test_the_same_key_for_another_request_is_refused(admin: httpx.AsyncClient) -> None:
    first = await admin.post("/schedules", json=definition(), headers=KEY)
    other = await admin.post("/schedules", json=definition(name="Other"), headers=KEY)
    elsewhere = await admin.post(f"{first.headers['location']}/trigger", headers=KEY)
    assert [other.status_code, elsewhere.status_code] == [422, 422]
    assert other.json()["code"] == "idempotency-mismatch"


async def test_a_key_belongs_to_its_tenant(api: RunningApi, admin: httpx.AsyncClient) -> None:
    await admin.post("/schedules", json=definition(), headers=KEY)
    other = await (await api.caller("other")).post("/schedules", json=definition(), headers=KEY)
    assert (other.status_code, other.json()["tenantId"]) == (201, "other")


async def test_a_refused_request_is_not_remembered(admin: httpx.AsyncClient) -> None:
    refused = await admin.post("/schedules", json=definition(tz="Nowhere"), headers=KEY)
    mended = await admin.post("/schedules", json=definition(), headers=KEY)
    assert (refused.status_code, mended.status_code) == (422, 201)


async def test_a_key_is_forgotten_after_a_day(admin: httpx.AsyncClient, connection: Connection) -> None:
    first = await admin.post("/schedules", json=definition(), headers=KEY)
    await connection.execute("UPDATE scheduler.idempotent_request SET created_at = now() - interval '25 h'")
    second = await admin.post("/schedules", json=definition(name="Other"), headers=KEY)
    assert second.status_code == 201
    assert first.json()["id"] != second.json()["id"]
    assert await connection.fetchval("SELECT count(*) FROM scheduler.idempotent_request") == 1


async def test_a_schedule_is_run_once_however_often_it_is_asked(
    admin: httpx.AsyncClient, connection: Connection
) -> None:
    path = (await admin.post("/schedules", json=definition())).headers["location"]
    answers = await asyncio.gather(*[admin.post(f"{path}/trigger", headers=KEY) for _ in range(6)])
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await connection.fetchval("SELECT count(*) FROM scheduler.due_queue") == 1


async def test_a_pause_and_a_resume_that_change_nothing_are_remembered_as_well(admin: httpx.AsyncClient) -> None:
    path = (await admin.post("/schedules", json=definition())).headers["location"]
    resumed = await admin.post(f"{path}/resume", headers={"Idempotency-Key": "resume"})
    await admin.post(f"{path}/pause")
    again = await admin.post(f"{path}/resume", headers={"Idempotency-Key": "resume"})
    assert again.content == resumed.content
    assert (await admin.get(path)).json()["state"] == "PAUSED"
    paused = await admin.post(f"{path}/pause", headers=KEY)
    await admin.post(f"{path}/resume")
    assert (await admin.post(f"{path}/pause", headers=KEY)).content == paused.content
    assert (await admin.get(path)).json()["state"] == "ACTIVE"


async def test_an_upsert_repeats_by_its_own_key_and_needs_no_other(admin: httpx.AsyncClient) -> None:
    """A key in the header once ended in 500 where it had been used before."""
    await admin.post("/schedules", json=definition(), headers=KEY)
    path = "/schedules/by-key/mine"
    answers = [await admin.put(path, json=definition(), headers=KEY)]
    await admin.delete(answers[0].headers["location"])
    answers += [await admin.put(path, json=definition(), headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    at_once = [admin.put("/schedules/by-key/other", json=definition(), headers=KEY) for _ in range(6)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*at_once)) == [200] * 5 + [201]


async def test_pause_and_resume_are_remembered(admin: httpx.AsyncClient) -> None:
    path = (await admin.post("/schedules", json=definition())).headers["location"]
    paused = await admin.post(f"{path}/pause", headers=KEY)
    await admin.post(f"{path}/resume")
    again = await admin.post(f"{path}/pause", headers=KEY)
    assert again.content == paused.content
    assert (await admin.get(path)).json()["state"] == "ACTIVE"


async def test_a_key_that_cannot_be_one_is_refused(admin: httpx.AsyncClient) -> None:
    for sent in ("", "a b", "x" * 201):
        answer = await admin.post("/schedules", json=definition(), headers={"Idempotency-Key": sent})
        assert answer.status_code == 400, sent
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await admin.post("/schedules", json=definition(), headers=twice)).status_code == 400
