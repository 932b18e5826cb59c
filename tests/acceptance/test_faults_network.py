"""The failure matrix between processes and PostgreSQL: a network that is slow, that swallows, a death in between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from scheduler_domain.domain.target import HttpRequest, HttpTarget
from tests.chaos.proxy import Proxy
from tests.integration.api_server import definition, environment, token
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver
from tests.support.stored import definition as stored_definition
from tests.support.stored import store_due, store_schedules
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

EACH_SECOND = {"type": "CRON", "cron": "* * * * * *"}
LEASE_SECONDS = 4
LONGEST_ANSWER = 5.2
READY = '"event":"dispatcher.ready"'


@pytest.fixture
async def network(database: str) -> AsyncIterator[Proxy]:
    """The only way to PostgreSQL of those who use `through_network`."""
    parts = urlsplit(database)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
def variables(database: str, nats_url: str) -> dict[str, str]:
    return environment(
        database,
        NATS_URL=nats_url,
        PORT="0",
        DISPATCHER_PORT="0",
        DISPATCHER_LEASE_SEC=str(LEASE_SECONDS),
        LOG_LEVEL="info",
        WEBHOOK_ALLOW_NETS="127.0.0.0/8",
        WEBHOOK_ALLOW_HTTP="true",
    )


@pytest.fixture
def through_network(variables: dict[str, str], network: Proxy) -> dict[str, str]:
    url = variables["POSTGRES_URL"]
    return {**variables, "POSTGRES_URL": url.replace(f":{urlsplit(url).port}/", f":{network.port}/")}


async def started(processes: Processes, environment: dict[str, str]) -> RunningProcess:
    dispatcher = processes.scheduler("dispatch", environment=environment)
    await dispatcher.wait_for_line(READY, within=20)
    return dispatcher


@asynccontextmanager
async def served(
    processes: Processes, environment: dict[str, str]
) -> AsyncIterator[tuple[RunningProcess, httpx.AsyncClient]]:
    """Run an API; yields it with a client of the tenant acme."""
    api = processes.scheduler("serve", environment=environment)
    line = await api.wait_for_line("http_api.listening", within=20)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    await api.wait_for_http(f"{url}/ready", within=20)
    headers = {"Authorization": f"Bearer {token('acme', 'editor')}", "X-Tenant-Id": "acme"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
        yield api, client


async def test_an_api_whose_database_is_slow_answers_in_time_or_says_503_and_does_not_pile_up(
    processes: Processes, through_network: dict[str, str], network: Proxy
) -> None:
    async with served(processes, through_network) as (_, client):
        for delay, accepted in ((0.1, {201}), (3.0, {503})):
            network.delay = delay
            answers = await asyncio.gather(*[client.post("/schedules", json=definition()) for _ in range(40)])
            assert {answer.status_code for answer in answers} == accepted, delay
            assert max(answer.elapsed.total_seconds() for answer in answers) < LONGEST_ANSWER
            assert all(int(answer.headers["retry-after"]) <= 2 for answer in answers if answer.status_code == 503)
            assert (await client.get("/live")).elapsed.total_seconds() < 0.5
        network.delay = 0

        async def serves_again() -> bool:
            return (await client.post("/schedules", json=definition())).status_code == 201

        await eventually(serves_again, within=10)


async def test_a_dispatcher_whose_database_is_slow_is_late_and_loses_nothing(
    processes: Processes,
    through_network: dict[str, str],
    network: Proxy,
    receiver: Receiver,
    connection: asyncpg.Connection,
    tenant: str,
) -> None:
    dispatcher = await started(processes, {**through_network, "DISPATCHER_LEASE_SEC": "15"})
    network.delay = 0.3
    schedules = await store_schedules(connection, tenant, 100, of=stored_definition(target=posting_to(receiver)))
    keys = await store_due(connection, tenant, schedules, datetime.now(UTC))
    await eventually(lambda: all_completed(connection, tenant, 100), within=20)
    assert Counter(received(receiver)) == Counter({str(key): 1 for key in keys})
    assert await dispatcher.stop(within=30) == 0


@pytest.fixture
async def slow_by_the_row(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Each row of the queue that is leased, and each that leaves it, takes 10 ms."""
    await connection.execute(
        """
        CREATE FUNCTION scheduler.dawdle() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.01); RETURN coalesce(NEW, OLD); END $$;
        CREATE TRIGGER dawdle BEFORE UPDATE OR DELETE ON scheduler.due_queue
        FOR EACH ROW EXECUTE FUNCTION scheduler.dawdle()
        """
    )
    yield
    await connection.execute("DROP FUNCTION scheduler.dawdle CASCADE")


@pytest.mark.usefixtures("slow_by_the_row")
async def test_a_dispatcher_asks_a_database_that_is_slow_by_the_row_for_fewer_at_once(
    processes: Processes, variables: dict[str, str], connection: asyncpg.Connection, tenant: str
) -> None:
    schedules = await store_schedules(connection, tenant, 600)
    async with connection.transaction():
        await store_due(connection, tenant, schedules, datetime.now(UTC))
    dispatcher = await started(processes, {**variables, "DISPATCHER_LEASE_SEC": "15"})
    await eventually(lambda: all_completed(connection, tenant, 600), within=60)
    assert await dispatcher.stop(within=30) == 0


async def test_a_dispatcher_cut_off_from_the_database_starts_nothing_after_its_lease_and_its_peer_does(
    processes: Processes,
    variables: dict[str, str],
    through_network: dict[str, str],
    network: Proxy,
    receiver: Receiver,
    connection: asyncpg.Connection,
    tenant: str,
) -> None:
    cut_off = await started(processes, through_network)
    schedules = await store_schedules(connection, tenant, 20, of=stored_definition(target=posting_to(receiver)))
    due_at = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS + 2)
    async with connection.transaction():
        keys = await store_due(connection, tenant, schedules, due_at)
        await connection.execute("UPDATE scheduler.due_queue SET start_tag = now()")  # to be claimed long before
    await eventually(lambda: all_leased(connection), within=2)
    network.passes.clear()
    peer = await started(processes, variables)
    await eventually(lambda: all_completed(connection, tenant, 20), within=20)
    network.passes.set()
    await cut_off.wait_for_line('"event":"claim.failed"', within=15)
    for dispatcher in (cut_off, peer):
        assert await dispatcher.stop(within=30) == 0
    assert Counter(received(receiver)) == Counter({str(key): 1 for key in keys})


async def test_a_create_that_was_committed_when_the_api_was_killed_is_found_again_under_its_key(
    processes: Processes, through_network: dict[str, str], network: Proxy, connection: asyncpg.Connection
) -> None:
    key = {"Idempotency-Key": "the-order"}
    async with served(processes, through_network) as (api, client):
        await client.post("/schedules", json=definition(), headers={"Idempotency-Key": "to-warm-up"})
        network.delay = 0.1
        asking = asyncio.create_task(client.post("/schedules", json=definition(name="once"), headers=key))
        committed = await eventually(lambda: connection.fetchval(ID_OF_ONCE), within=5)
        assert not asking.done(), "it was answered before it could be killed"
        await api.kill()
        with pytest.raises(httpx.TransportError):
            await asking
    network.delay = 0
    async with served(processes, through_network) as (_, client):
        answer = await client.post("/schedules", json=definition(name="once"), headers=key)
    assert (answer.status_code, answer.json()["id"]) == (201, str(committed))
    assert await connection.fetchval("SELECT count(*) FROM scheduler.schedule WHERE name = 'once'") == 1


ID_OF_ONCE = "SELECT id FROM scheduler.schedule WHERE name = 'once'"


def posting_to(receiver: Receiver) -> HttpTarget:
    return HttpTarget(HttpRequest(f"{receiver.url}/hook"))


def received(receiver: Receiver) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in receiver.requests]


async def all_leased(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE leased_by IS NULL")


async def all_completed(connection: asyncpg.Connection, tenant: str, count: int) -> bool:
    """Tell whether so many have ended well and none waits."""
    done = await connection.fetchval(
        "SELECT count(*) FROM scheduler.ledger WHERE tenant_id = $1 AND status = 'COMPLETED'", tenant
    )
    left = await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE tenant_id = $1", tenant)
    return bool(done == count and left == 0)
