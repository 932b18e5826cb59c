"""The failure matrix, seen by who deletes a schedule: the 2xx comes in time, and is true."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import jwt
import pytest

from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.embedded import EmbeddedServers, ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade
from scheduler_domain.infra.postgres.pool import COMMAND_TIMEOUT, open_tenant_pool
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough for each of the HMAC algorithms"
LEASE_SECONDS = 4
READY = '"event":"dispatcher.ready"'
StartDispatcher = Callable[[], RunningProcess]


@pytest.fixture(scope="module")
def own_servers() -> Iterator[EmbeddedServers]:
    with ephemeral_servers(nats_sync_always=False) as servers:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(upgrade, servers.urls.postgres_url).result()
        yield servers


@pytest.fixture
def environment(own_servers: EmbeddedServers) -> dict[str, str]:
    return {
        "POSTGRES_URL": own_servers.urls.postgres_url,
        "NATS_URL": own_servers.urls.nats_url,
        "JWT_SECRET": SECRET,
        "JWT_ISSUER": "tests",
        "JWT_AUDIENCE": "tests",
        "DISPATCHER_PORT": "0",
        "DISPATCHER_LEASE_SEC": str(LEASE_SECONDS),
        "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }


@pytest.fixture
def dispatcher(processes: Processes, environment: dict[str, str]) -> StartDispatcher:
    return lambda: processes.scheduler("dispatch", environment=environment)


@pytest.fixture
async def editor(processes: Processes, environment: dict[str, str], tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running API."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    api = processes.scheduler("serve", environment={**environment, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}"
    await api.wait_for_http(f"{url}/ready", within=30)
    now = int(time.time())
    claims = {"iss": "tests", "aud": "tests", "sub": "ada", "tenant_id": tenant, "roles": ["editor"]}
    token = jwt.encode({**claims, "iat": now, "exp": now + 3_600}, SECRET, algorithm="HS256")
    headers = {"Authorization": f"Bearer {token}", "X-Tenant-Id": tenant}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


async def created(editor: httpx.AsyncClient, receiver: Receiver, **trigger: str) -> str:
    target = {"kind": "HTTP", "http": {"url": f"{receiver.url}/hook"}}
    answer = await editor.post("/schedules", json={"name": "n", "trigger": trigger, "target": target})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    id_: str = answer.json()["id"]
    return id_


async def test_a_delete_is_answered_within_a_lease_though_the_holder_was_killed_and_nothing_fires_after_it(
    editor: httpx.AsyncClient, dispatcher: StartDispatcher, own_servers: EmbeddedServers, receiver: Receiver
) -> None:
    holder = dispatcher()
    await holder.wait_for_line(READY, within=20)
    due_at = datetime.now(UTC) + timedelta(seconds=4)
    schedule = await created(editor, receiver, type="ONE_SHOT", startAt=due_at.isoformat().replace("+00:00", "Z"))
    await eventually(lambda: is_held(own_servers, schedule), within=10)
    await holder.kill()
    began = time.monotonic()
    answer = await editor.delete(f"/schedules/{schedule}")
    assert answer.status_code == httpx.codes.NO_CONTENT
    assert time.monotonic() - began <= LEASE_SECONDS + 1
    await dispatcher().wait_for_line(READY, within=20)
    await eventually(lambda: datetime.now(UTC) > due_at + timedelta(seconds=2), within=10)
    assert receiver.requests == []


async def test_a_delete_while_postgresql_restarts_is_repeated_until_it_is_true(
    editor: httpx.AsyncClient, dispatcher: StartDispatcher, own_servers: EmbeddedServers, receiver: Receiver
) -> None:
    await dispatcher().wait_for_line(READY, within=20)
    schedule = await created(editor, receiver, type="CRON", cron="* * * * * *")
    await receiver.wait_for(2, within=10)
    restarting = asyncio.create_task(asyncio.to_thread(own_servers.postgres.restart))
    codes: list[int] = []

    async def gone() -> bool:
        answer = await editor.delete(f"/schedules/{schedule}")
        codes.append(answer.status_code)
        return answer.status_code in {httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND}

    await eventually(gone, within=30)
    answered_at = datetime.now(UTC)
    await restarting
    assert set(codes[:-1]) <= {httpx.codes.SERVICE_UNAVAILABLE}
    await eventually(lambda: datetime.now(UTC) > answered_at + timedelta(seconds=3), within=10)
    assert [request for request in receiver.requests if request.at > answered_at + timedelta(milliseconds=500)] == []


async def test_a_transaction_that_a_silent_database_holds_up_is_given_up_in_time(own_servers: EmbeddedServers) -> None:
    """Not even to undo it may anybody wait: a database that is stuck confirms nothing."""
    async with open_tenant_pool(own_servers.urls.postgres_url) as pool:

        async def held_up() -> None:
            async with pool.transaction("acme") as connection:
                own_servers.postgres.pause()
                await connection.execute("SELECT 1")

        began = time.monotonic()
        try:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(held_up(), COMMAND_TIMEOUT.total_seconds() + 2)
            assert time.monotonic() - began < COMMAND_TIMEOUT.total_seconds() + 0.5
        finally:
            own_servers.postgres.resume()
        assert await pool.platform_value("SELECT 1") == 1


async def is_held(servers: EmbeddedServers, schedule: str) -> bool:
    connection = await asyncpg.connect(servers.urls.postgres_url, ssl=False)
    try:
        held = await connection.fetchval(
            "SELECT count(*) FROM scheduler.due_queue WHERE schedule_id = $1 AND lease_until > now()", schedule
        )
        return bool(held)
    finally:
        await connection.close()
