"""Completion by callback on real processes: receivers that accept work and say later, twice, or never how it ended."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from aiohttp import web

from scheduler_domain.domain.schedule import FixedDelayTrigger, Retry, ScheduleDefinition
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import ServerUrls
from tests.integration.api_server import RunningApi, environment, running_api
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Answer, Received, Receiver, hang, reply
from tests.support.stored import EVERY_MINUTE, definition, store_due, store_schedules
from tests.support.waiting import eventually

READY = '"event":"dispatcher.ready"'
START_SEC = 15
LOOPBACK = {"WEBHOOK_ALLOW_NETS": "127.0.0.0/8", "WEBHOOK_ALLOW_HTTP": "true"}
SOON = Retry(max_attempts=2, initial_delay_sec=0.1, factor=1)
ONCE = Retry(max_attempts=1)
StartDispatcher = Callable[[], RunningProcess]


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(environment(database, **LOOPBACK)) as running:
        yield running


@pytest.fixture
async def reader(api: RunningApi) -> httpx.AsyncClient:
    return await api.caller("acme", "viewer")


@pytest.fixture
def dispatcher(processes: Processes, database: str, servers: ServerUrls) -> StartDispatcher:
    variables = {
        "POSTGRES_URL": database,
        "NATS_URL": servers.nats_url,
        "DISPATCHER_PORT": "0",
        "DISPATCHER_LEASE_SEC": "5",
        **LOOPBACK,
    }
    return lambda: processes.scheduler("dispatch", environment=variables)


@pytest.fixture
async def running(dispatcher: StartDispatcher) -> RunningProcess:
    process = dispatcher()
    await process.wait_for_line(READY, within=START_SEC)
    return process


def calling_back(receiver: Receiver, **fields: Any) -> ScheduleDefinition:
    target = HttpTarget(HttpRequest(f"{receiver.url}/hook"))
    return definition(fields.pop("trigger", EVERY_MINUTE), target, completion="CALLBACK", **fields)


async def fire(connection: asyncpg.Connection, of: ScheduleDefinition) -> UUID:
    """Store a schedule and an occurrence of it that is due now; return the occurrence."""
    schedules = await store_schedules(connection, "acme", of=of)
    (occurrence,) = await store_due(connection, "acme", schedules, datetime.now(UTC))
    return occurrence


async def call_back(client: httpx.AsyncClient, received: Received, **body: Any) -> httpx.Response:
    token = received.headers["X-Scheduler-Callback-Token"]
    path = received.headers["X-Scheduler-Callback-Url"]
    return await client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})


async def status(reader: httpx.AsyncClient, occurrence: UUID) -> str:
    answer = await reader.get(f"/occurrences/{occurrence}")
    return str(answer.json()["status"])


def completed(reader: httpx.AsyncClient, occurrence: UUID) -> Callable[[], Awaitable[bool]]:
    async def is_completed() -> bool:
        return await status(reader, occurrence) == "COMPLETED"

    return is_completed


async def waits(connection: asyncpg.Connection, occurrence: UUID) -> bool:
    query = "SELECT awaiting_since IS NOT NULL FROM scheduler.due_queue WHERE id = $1"
    return bool(await connection.fetchval(query, occurrence))


@pytest.mark.usefixtures("running")
async def test_an_accepted_occurrence_is_processed_until_the_receiver_calls_back(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver))
    await eventually(lambda: waits(connection, occurrence), within=10)
    assert await status(reader, occurrence) == "PROCESSING"
    listed = await reader.get("/occurrences", params={"status": "PROCESSING"})
    assert [item["id"] for item in listed.json()["items"]] == [str(occurrence)]

    stranger = await api.client()
    answer = await call_back(stranger, receiver.requests[0], success=True, message="42 rows")
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    shown = (await reader.get(f"/occurrences/{occurrence}")).json()
    assert shown["status"] == "COMPLETED"
    (attempt,) = shown["attempts"]
    assert (attempt["outcome"], attempt["statusCode"], attempt["responseExcerpt"]) == ("DELIVERED", 202, "42 rows")

    again = await call_back(stranger, receiver.requests[0], success=True)
    assert (again.status_code, again.json()["status"]) == (200, "COMPLETED")
    opposite = await call_back(stranger, receiver.requests[0], success=False)
    assert (opposite.status_code, opposite.json()["code"]) == (409, "conflict")
    assert len(receiver.requests) == 1


@pytest.mark.usefixtures("running")
async def test_another_success_than_202_completes_at_once(
    connection: asyncpg.Connection, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(200))
    occurrence = await fire(connection, calling_back(receiver))

    await eventually(completed(reader, occurrence), within=10)


@pytest.mark.usefixtures("running")
async def test_a_failure_called_back_is_tried_again_under_the_same_key_until_the_retries_are_spent(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver, retry=SOON))
    stranger = await api.client()
    await eventually(lambda: waits(connection, occurrence), within=10)
    first = await call_back(stranger, receiver.requests[0], success=False, message="no space left")
    assert first.status_code == 200
    await receiver.wait_for(2, within=10)
    await eventually(lambda: waits(connection, occurrence), within=10)
    last = await call_back(stranger, receiver.requests[1], success=False)
    assert (last.status_code, last.json()["status"], last.json()["reason"]) == (200, "FAILED", "retries-exhausted")
    shown = (await reader.get(f"/occurrences/{occurrence}")).json()
    assert [(item["outcome"], item["error"]) for item in shown["attempts"]] == [
        ("FAILED", "no space left"),
        ("FAILED", "the receiver called back that it failed"),
    ]
    again = await call_back(stranger, receiver.requests[1], success=False)
    assert again.status_code == 200
    keys = {request.headers["Idempotency-Key"] for request in receiver.requests}
    tokens = {request.headers["X-Scheduler-Callback-Token"] for request in receiver.requests}
    assert (keys, len(tokens), len(receiver.requests)) == ({str(occurrence)}, 2, 2)
    repeated = await call_back(stranger, receiver.requests[0], success=False)
    assert repeated.status_code == 200


@pytest.mark.usefixtures("running")
async def test_without_a_callback_in_time_the_attempt_has_failed_and_a_late_one_is_refused(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver, timeout_sec=1, retry=SOON))

    async def has_failed() -> bool:
        return await status(reader, occurrence) == "FAILED"

    await eventually(has_failed, within=15)
    shown = (await reader.get(f"/occurrences/{occurrence}")).json()
    assert [item["error"] for item in shown["attempts"]] == ["no callback within 1 s"] * 2
    assert [item["durationMs"] >= 1_000 for item in shown["attempts"]] == [True, True]
    for success in (True, False):
        late = await call_back(await api.client(), receiver.requests[-1], success=success)
        assert (late.status_code, late.json()["code"]) == (409, "not-awaited")


async def test_the_wait_outlives_the_dispatcher_that_sent_the_request(
    connection: asyncpg.Connection,
    api: RunningApi,
    reader: httpx.AsyncClient,
    receiver: Receiver,
    running: RunningProcess,
    dispatcher: StartDispatcher,
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver, timeout_sec=60))
    await eventually(lambda: waits(connection, occurrence), within=10)
    await running.kill()
    noted = await call_back(await api.client(), receiver.requests[0], success=True)
    assert (noted.status_code, noted.json()["status"]) == (200, "PROCESSING")
    again = await call_back(await api.client(), receiver.requests[0], success=True)
    assert again.status_code == 200
    await dispatcher().wait_for_line(READY, within=START_SEC)

    await eventually(completed(reader, occurrence), within=15)
    assert len(receiver.requests) == 1


@pytest.mark.usefixtures("running")
async def test_a_receiver_may_call_back_before_it_answers(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    client = await api.client()
    answers: list[httpx.Response] = []

    def eager() -> Answer:
        async def answer(of: Receiver, request: web.Request) -> web.StreamResponse:
            answers.append(await call_back(client, of.requests[-1], success=True))
            return web.Response(status=202)

        return answer

    receiver.always(eager())
    occurrence = await fire(connection, calling_back(receiver))

    await eventually(completed(reader, occurrence), within=10)
    assert [answer.status_code for answer in answers] == [200]
    assert len(receiver.requests) == 1


@pytest.mark.usefixtures("running")
async def test_a_pause_lets_what_was_accepted_end_and_an_edit_too(
    connection: asyncpg.Connection, api: RunningApi, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    client, editor = await api.client(), await api.caller()
    for change in ({"enabled": False}, {"completion": "ACK"}, {"trigger": {"type": "CRON", "cron": "0 0 1 1 *"}}):
        occurrence = await fire(connection, calling_back(receiver))
        await eventually(lambda: waits(connection, occurrence), within=10)  # noqa: B023 - called at once
        schedule = (await editor.get(f"/occurrences/{occurrence}")).json()["scheduleId"]
        assert (await editor.patch(f"/schedules/{schedule}", json=change)).status_code == 200
        answer = await call_back(client, receiver.requests[-1], success=True)
        assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    assert len(receiver.requests) == 3


@pytest.mark.usefixtures("running")
async def test_a_deletion_ends_the_wait(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver))
    await eventually(lambda: waits(connection, occurrence), within=10)
    schedule = (await reader.get(f"/occurrences/{occurrence}")).json()["scheduleId"]
    assert (await (await api.caller()).delete(f"/schedules/{schedule}")).status_code == 204
    assert await status(reader, occurrence) == "CANCELLED"
    answer = await call_back(await api.client(), receiver.requests[0], success=True)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-awaited")


@pytest.mark.usefixtures("running")
async def test_a_delay_from_completion_counts_from_the_callback(
    connection: asyncpg.Connection, api: RunningApi, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver, trigger=FixedDelayTrigger(delay_sec=2)))
    await eventually(lambda: waits(connection, occurrence), within=10)
    before = datetime.now(UTC)
    assert (await call_back(await api.client(), receiver.requests[0], success=True)).status_code == 200
    after = datetime.now(UTC)
    _, second = await receiver.wait_for(2, within=10)
    assert before + timedelta(seconds=2) <= second.at <= after + timedelta(seconds=3)


@pytest.mark.usefixtures("running")
async def test_what_awaits_its_callback_has_not_ended_for_those_that_come_after_it(
    connection: asyncpg.Connection, api: RunningApi, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    (schedule,) = await store_schedules(connection, "acme", of=calling_back(receiver, overlap="BUFFER_ALL"))
    now = datetime.now(UTC)
    first, second = [
        (await store_due(connection, "acme", [schedule], now + timedelta(milliseconds=number)))[0] for number in (0, 1)
    ]
    await eventually(lambda: waits(connection, first), within=10)
    parked = "SELECT start_tag > now() AND lease_until < now() FROM scheduler.due_queue WHERE id = $1"

    async def is_parked() -> bool:
        return bool(await connection.fetchval(parked, second))

    await eventually(is_parked, within=10)
    assert len(receiver.requests) == 1
    assert (await call_back(await api.client(), receiver.requests[0], success=True)).status_code == 200
    await receiver.wait_for(2, within=2)
    await eventually(lambda: waits(connection, second), within=10)
    assert (await call_back(await api.client(), receiver.requests[1], success=True)).json()["status"] == "COMPLETED"


async def test_what_was_called_back_is_not_sent_again_when_the_dispatcher_is_lost_before_the_answer(
    connection: asyncpg.Connection,
    api: RunningApi,
    reader: httpx.AsyncClient,
    receiver: Receiver,
    running: RunningProcess,
    dispatcher: StartDispatcher,
) -> None:
    receiver.always(hang())
    occurrence = await fire(connection, calling_back(receiver, timeout_sec=60))
    await receiver.wait_for(1, within=10)
    answer = await call_back(await api.client(), receiver.requests[0], success=True, message="done")
    assert (answer.status_code, answer.json()["status"]) == (200, "PROCESSING")
    await running.kill()
    await dispatcher().wait_for_line(READY, within=START_SEC)

    await eventually(completed(reader, occurrence), within=20)
    assert len(receiver.requests) == 1


@pytest.mark.usefixtures("running")
async def test_a_success_called_back_counts_although_the_request_was_never_answered(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(hang())
    occurrence = await fire(connection, calling_back(receiver, timeout_sec=1))
    await receiver.wait_for(1, within=10)
    assert (await call_back(await api.client(), receiver.requests[0], success=True)).status_code == 200

    await eventually(completed(reader, occurrence), within=10)
    assert len(receiver.requests) == 1


@pytest.mark.usefixtures("running")
async def test_what_awaits_its_callback_cannot_be_cancelled(
    connection: asyncpg.Connection, api: RunningApi, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver))
    await eventually(lambda: waits(connection, occurrence), within=10)
    operator = await api.caller("acme", "operator")
    refused = await operator.post(f"/occurrences/{occurrence}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await call_back(await api.client(), receiver.requests[0], success=True)).json()["status"] == "COMPLETED"


@pytest.mark.usefixtures("running")
async def test_a_dead_letter_that_is_replayed_may_be_called_back_for_again(
    connection: asyncpg.Connection, api: RunningApi, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.always(reply(202))
    occurrence = await fire(connection, calling_back(receiver, retry=ONCE))
    await eventually(lambda: waits(connection, occurrence), within=10)
    client, operator = await api.client(), await api.caller("acme", "operator")
    assert (await call_back(client, receiver.requests[0], success=False)).json()["status"] == "FAILED"
    assert (await operator.post(f"/occurrences/{occurrence}/replay")).status_code == 202
    await receiver.wait_for(2, within=10)
    await eventually(lambda: waits(connection, occurrence), within=10)
    assert (await call_back(client, receiver.requests[1], success=True)).json()["status"] == "COMPLETED"
    shown = (await reader.get(f"/occurrences/{occurrence}")).json()
    assert [(item["number"], item["outcome"]) for item in shown["attempts"]] == [(1, "FAILED"), (2, "DELIVERED")]
