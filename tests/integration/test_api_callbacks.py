"""The route that receivers call back on: its own door, its bodies, and what it says of each state."""

import asyncio
import secrets
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import httpx
import pytest

from scheduler_domain.domain.callback import CallbackRight, callback_path, callback_token
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from tests.integration.api_server import RunningApi, environment, running_api
from tests.support.stored import definition, store_due, store_schedules

OF = definition(target=HttpTarget(HttpRequest("https://receiver.example/")), completion="CALLBACK")
AWAITING = (
    "UPDATE scheduler.due_queue SET awaiting_since = now(), first_fired_at = now(),"
    " start_tag = now() + make_interval(secs => $2) WHERE id = $1"
)


@pytest.fixture
async def right(connection: asyncpg.Connection) -> CallbackRight:
    """The right to complete an occurrence that has been sent to nobody yet."""
    (schedule,) = await store_schedules(connection, "acme", of=OF)
    (occurrence,) = await store_due(connection, "acme", [schedule], datetime.now(UTC))
    return CallbackRight("acme", schedule, occurrence, attempt=1)


@pytest.fixture
async def token(connection: asyncpg.Connection, right: CallbackRight) -> str:
    return callback_token(await connection.fetchval("SELECT key FROM scheduler.callback_key"), right)


@pytest.fixture
async def stranger(api: RunningApi) -> httpx.AsyncClient:
    """A client without a tenant's token, as a receiver is one."""
    return await api.client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def awaiting(connection: asyncpg.Connection, right: CallbackRight, seconds: int = 60) -> None:
    await connection.execute(AWAITING, right.occurrence_id, seconds)


async def test_a_wrong_token_is_refused_alike_whether_or_not_the_occurrence_exists(
    stranger: httpx.AsyncClient, api: RunningApi, right: CallbackRight, token: str
) -> None:
    mac = token.rpartition(".")[2]
    forged = token.removesuffix(mac) + mac[::-1]
    tenants_own = (await api.caller()).headers["Authorization"]
    missing = UUID(int=7)
    answers = [
        await stranger.post(callback_path(right.occurrence_id), json={"success": True}, headers=headers)
        for headers in (
            bearer(forged),
            bearer("x"),
            bearer(f"other.{right.schedule_id.hex}.1.{mac}"),
            bearer(token.replace(".1.", ".2.")),
            {},
        )
    ]
    answers += [
        await stranger.post(callback_path(missing), json={"success": True}, headers=bearer(token)),
        await stranger.post("/occurrences/none/complete", json={"success": True}, headers=bearer(token)),
        await stranger.post(
            callback_path(right.occurrence_id), json={"success": True}, headers={"Authorization": tenants_own}
        ),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({(answer.json()["code"], answer.json()["detail"]) for answer in answers}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


async def test_guessing_is_slowed_down(stranger: httpx.AsyncClient, right: CallbackRight) -> None:
    path = callback_path(right.occurrence_id)

    async def guess() -> int:
        return (await stranger.post(path, json={"success": True}, headers=bearer("x"))).status_code

    assert await guess() == 401
    # Together: one after the other, a slow machine's requests come no faster than they may.
    codes = await asyncio.gather(*[guess() for _ in range(200)])
    assert set(codes) == {401, 429}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/success", "required"),
        ({"success": "yes"}, "/success", "invalid-type"),
        ({"success": True, "mesage": "x"}, "/mesage", "unknown-field"),
        ({"success": True, "message": "x" * 1_001}, "/message", "out-of-range"),
        ({"success": True, "message": "a\u0000b"}, "/message", "invalid-text"),
    ],
)
async def test_a_body_that_is_not_acceptable_says_nothing_about_the_occurrence(
    stranger: httpx.AsyncClient, right: CallbackRight, token: str, body: dict[str, object], pointer: str, code: str
) -> None:
    answer = await stranger.post(callback_path(right.occurrence_id), json=body, headers=bearer(token))
    assert answer.status_code == 422, answer.text
    assert [(item["pointer"], item["code"]) for item in answer.json()["errors"]] == [(pointer, code)]


async def test_another_tenant_in_the_body_is_refused(
    stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    body = {"success": True, "tenantId": "other"}
    answer = await stranger.post(callback_path(right.occurrence_id), json=body, headers=bearer(token))
    assert answer.status_code == 403


async def test_what_was_never_sent_is_not_awaited(
    stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    answer = await stranger.post(callback_path(right.occurrence_id), json={"success": True}, headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (409, "not-awaited")


async def test_what_is_awaited_is_noted_and_made_due_at_once_for_any_dispatcher(
    connection: asyncpg.Connection, stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    await awaiting(connection, right)
    held = "UPDATE scheduler.due_queue SET lease_until = now() + interval '9 s', leased_by = 7, lease_token = 4"
    await connection.execute(held)  # by a dispatcher that claims ahead of the moment when no callback has come
    path = callback_path(right.occurrence_id)
    said = {"success": False, "message": "no\nspace left"}
    answer = await stranger.post(path, json=said, headers=bearer(token))
    assert (answer.status_code, answer.json()["status"]) == (200, "PROCESSING")
    row = await connection.fetchrow(
        "SELECT callback_succeeded, callback_message, lease_token, leased_by, lease_until < now() AS is_free,"
        " start_tag <= now() AS is_due FROM scheduler.due_queue"
    )
    assert tuple(row) == (False, "no\nspace left", 5, None, True, True)
    assert (await stranger.post(path, json={"success": False}, headers=bearer(token))).status_code == 200
    opposite = await stranger.post(path, json={"success": True}, headers=bearer(token))
    assert (opposite.status_code, opposite.json()["code"]) == (409, "conflict")


async def test_a_failure_told_again_does_not_fail_the_next_attempt_and_success_counts_by_any_token(
    connection: asyncpg.Connection, stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    await awaiting(connection, right)
    await connection.execute("UPDATE scheduler.due_queue SET attempt_count = 1")
    path = callback_path(right.occurrence_id)
    answer = await stranger.post(path, json={"success": False}, headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (409, "not-awaited")
    failed = (
        "INSERT INTO scheduler.attempt (tenant_id, occurrence_id, number, started_at, duration_ms, outcome,"
        " status_code) VALUES ('acme', $1, 1, now(), 5, 'FAILED', 202)"
    )
    await connection.execute(failed, right.occurrence_id)
    assert (await stranger.post(path, json={"success": False}, headers=bearer(token))).status_code == 200
    assert await connection.fetchval("SELECT callback_succeeded FROM scheduler.due_queue") is None
    assert (await stranger.post(path, json={"success": True}, headers=bearer(token))).status_code == 200
    assert await connection.fetchval("SELECT callback_succeeded FROM scheduler.due_queue") is True


async def test_a_callback_whose_time_has_passed_is_too_late_although_nobody_recorded_that(
    connection: asyncpg.Connection, stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    await awaiting(connection, right, seconds=-1)
    answer = await stranger.post(callback_path(right.occurrence_id), json={"success": True}, headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (409, "not-awaited")


async def test_an_occurrence_that_is_gone_is_not_found(
    connection: asyncpg.Connection, stranger: httpx.AsyncClient, right: CallbackRight, token: str
) -> None:
    await connection.execute("DELETE FROM scheduler.due_queue")
    answer = await stranger.post(callback_path(right.occurrence_id), json={"success": True}, headers=bearer(token))
    assert answer.status_code == 404


async def test_every_api_of_an_installation_knows_the_key_and_no_other_installation_does(
    connection: asyncpg.Connection, stranger: httpx.AsyncClient, right: CallbackRight, token: str, database: str
) -> None:
    path = callback_path(right.occurrence_id)
    async with running_api(environment(database)) as second:
        client = await second.client()
        assert (await client.post(path, json={"success": True}, headers=bearer(token))).status_code == 409
        foreign = callback_token(secrets.token_bytes(32), right)
        assert (await client.post(path, json={"success": True}, headers=bearer(foreign))).status_code == 401
    assert (await stranger.post(path, json={"success": True}, headers=bearer(token))).status_code == 409
    assert await connection.fetchval("SELECT length(key) FROM scheduler.callback_key") == 32
