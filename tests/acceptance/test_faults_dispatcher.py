"""The failure matrix, dispatcher side: a process meets each fault and does what docs/operations.md says."""

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from scheduler_domain.domain.target import EventTarget, HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import EmbeddedServer, EmbeddedServers, ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver, reply
from tests.support.stored import definition, store_due, store_schedules
from tests.support.waiting import eventually

READY = '"event":"dispatcher.ready"'
GRACE_SECONDS = 6
DRAINS_WITHIN = GRACE_SECONDS + 5  # as 30 s are to the usual 25
LEASE_SECONDS = 4
StartDispatcher = Callable[[], RunningProcess]


@pytest.fixture(scope="module")
def own_servers() -> Iterator[EmbeddedServers]:
    """Servers of this module alone: what is killed here must not be in anybody else's hands."""
    with ephemeral_servers(nats_sync_always=False) as servers:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(upgrade, servers.urls.postgres_url).result()
        yield servers


@pytest.fixture
async def whole(own_servers: EmbeddedServers) -> AsyncIterator[EmbeddedServers]:
    """The servers, all running, with an empty database before the test; whole again after it."""
    async with connected(own_servers) as connection:
        await connection.execute("TRUNCATE scheduler.schedule, scheduler.due_queue, scheduler.ledger CASCADE")
    yield own_servers
    for server in (own_servers.postgres, own_servers.nats, own_servers.valkey):
        server.restart()


@pytest.fixture
def dispatcher(processes: Processes, own_servers: EmbeddedServers) -> StartDispatcher:
    urls = own_servers.urls
    environment = {
        "POSTGRES_URL": urls.postgres_url,
        "NATS_URL": urls.nats_url,
        "REDIS_URL": urls.redis_url,
        "DISPATCHER_PORT": "0",
        "DISPATCHER_LEASE_SEC": str(LEASE_SECONDS),
        "SHUTDOWN_GRACE_SEC": str(GRACE_SECONDS),
        "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }
    return lambda: processes.scheduler("dispatch", environment=environment)


@asynccontextmanager
async def connected(servers: EmbeddedServers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(servers.urls.postgres_url, ssl=False)
    try:
        yield connection
    finally:
        await connection.close()


async def due_now(servers: EmbeddedServers, tenant: str, count: int, target: EventTarget | HttpTarget) -> set[str]:
    async with connected(servers) as connection, connection.transaction():
        schedules = await store_schedules(connection, tenant, count, of=definition(target=target))
        return {str(id_) for id_ in await store_due(connection, tenant, schedules, datetime.now(UTC))}


def completed(servers: EmbeddedServers, tenant: str, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a probe that tells whether so many have ended well and none waits."""

    async def probe() -> bool:
        async with connected(servers) as connection:
            done = await connection.fetchval(
                "SELECT count(*) FROM scheduler.ledger WHERE tenant_id = $1 AND status = 'COMPLETED'", tenant
            )
            left = await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE tenant_id = $1", tenant)
            return bool(done == count and left == 0)

    return probe


def posting_to(receiver: Receiver) -> HttpTarget:
    return HttpTarget(HttpRequest(f"{receiver.url}/hook"))


async def health_url(process: RunningProcess) -> str:
    line = await process.wait_for_line('"event":"dispatcher.health"', within=15)
    return f"http://127.0.0.1:{json.loads(line)['port']}"


@pytest.mark.parametrize("how", [EmbeddedServer.kill, EmbeddedServer.pause])
async def test_a_dispatcher_that_starts_while_postgresql_is_away_waits_alive_and_unready(
    how: Callable[[EmbeddedServer], None],
    whole: EmbeddedServers,
    dispatcher: StartDispatcher,
    receiver: Receiver,
    tenant: str,
) -> None:
    await due_now(whole, tenant, 5, posting_to(receiver))
    how(whole.postgres)
    process = dispatcher()
    url = await health_url(process)
    await process.wait_for_http(f"{url}/live", within=5)
    await process.wait_for_http(f"{url}/ready", status=503, within=5)
    await process.wait_for_line('"event":"dispatcher.start.failed"', within=15)
    whole.postgres.restart()
    await process.wait_for_http(f"{url}/ready", within=20)
    await eventually(completed(whole, tenant, 5), within=15)
    assert "Traceback" not in process.output


async def test_a_dispatcher_that_waits_for_postgresql_ends_when_told_to(
    whole: EmbeddedServers, dispatcher: StartDispatcher
) -> None:
    whole.postgres.kill()
    process = dispatcher()
    await process.wait_for_line('"event":"dispatcher.start.failed"', within=15)
    assert await process.stop(within=10) == 0


async def test_a_dispatcher_that_starts_while_nats_is_away_delivers_webhooks_and_the_rest_when_it_is_back(
    whole: EmbeddedServers, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    whole.nats.kill()
    await due_now(whole, tenant, 5, posting_to(receiver))
    await due_now(whole, f"{tenant}-events", 5, EventTarget("tests.fired"))
    process = dispatcher()
    await process.wait_for_line(READY, within=20)
    await eventually(completed(whole, tenant, 5), within=15)
    whole.nats.start()
    await eventually(completed(whole, f"{tenant}-events", 5), within=20)


@pytest.mark.parametrize("how", [EmbeddedServer.kill, EmbeddedServer.pause])
async def test_a_dispatcher_drains_while_postgresql_is_away(
    how: Callable[[EmbeddedServer], None],
    whole: EmbeddedServers,
    dispatcher: StartDispatcher,
    receiver: Receiver,
    tenant: str,
) -> None:
    receiver.always(reply(delay=0.5))
    process = dispatcher()
    await process.wait_for_line(READY, within=20)
    await due_now(whole, tenant, 100, posting_to(receiver))
    await receiver.wait_for(5, within=10)
    how(whole.postgres)
    assert await process.stop(within=DRAINS_WITHIN) == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize("how", [EmbeddedServer.kill, EmbeddedServer.pause])
async def test_outcomes_that_postgresql_could_not_take_are_recorded_when_it_is_back(
    how: Callable[[EmbeddedServer], None],
    whole: EmbeddedServers,
    dispatcher: StartDispatcher,
    receiver: Receiver,
    tenant: str,
) -> None:
    receiver.always(reply(delay=1))
    process = dispatcher()
    await process.wait_for_line(READY, within=20)
    keys = await due_now(whole, tenant, 10, posting_to(receiver))
    await receiver.wait_for(10, within=10)
    how(whole.postgres)
    await process.wait_for_line('"event":"record.failed"', within=15)
    whole.postgres.restart()
    await eventually(completed(whole, tenant, 10), within=20)
    received = [request.headers["Idempotency-Key"] for request in receiver.requests]
    assert set(received) == keys
    assert len(received) <= 20
    assert "Traceback" not in process.output


async def test_a_silent_nats_holds_up_no_webhook_and_each_event_is_stored_once(
    whole: EmbeddedServers, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    process = dispatcher()
    await process.wait_for_line(READY, within=20)
    whole.nats.pause()
    await due_now(whole, f"{tenant}-events", 40, EventTarget("tests.fired"))
    await due_now(whole, tenant, 40, posting_to(receiver))
    await eventually(completed(whole, tenant, 40), within=10)
    whole.nats.resume()
    await eventually(completed(whole, f"{tenant}-events", 40), within=25)
    async with connected(whole) as connection:
        attempts = await connection.fetchval("SELECT max(attempt_count) FROM scheduler.ledger")
    assert attempts <= 3


@pytest.mark.parametrize("how", [EmbeddedServer.kill, EmbeddedServer.pause])
async def test_planning_goes_on_without_valkey(
    how: Callable[[EmbeddedServer], None],
    whole: EmbeddedServers,
    dispatcher: StartDispatcher,
    receiver: Receiver,
    tenant: str,
) -> None:
    process = dispatcher()
    await process.wait_for_line(READY, within=20)
    how(whole.valkey)
    async with connected(whole) as connection:
        await store_schedules(
            connection,
            tenant,
            3,
            of=definition(target=posting_to(receiver)),
            planned_from=datetime.now(UTC) - timedelta(seconds=61),
        )
    await receiver.wait_for(3, within=10)


async def test_a_dispatcher_that_was_stopped_beyond_its_lease_starts_nothing_of_what_it_held(
    whole: EmbeddedServers, dispatcher: StartDispatcher, receiver: Receiver, tenant: str
) -> None:
    sleeper = dispatcher()
    await sleeper.wait_for_line(READY, within=20)
    async with connected(whole) as connection, connection.transaction():
        schedules = await store_schedules(connection, tenant, 20, of=definition(target=posting_to(receiver)))
        await store_due(connection, tenant, schedules, datetime.now(UTC) + timedelta(seconds=3))
    await eventually(all_leased(whole), within=10)
    sleeper.send(signal.SIGSTOP)
    awake = dispatcher()
    await awake.wait_for_line(READY, within=20)
    await receiver.wait_for(20, within=20)
    sleeper.send(signal.SIGCONT)
    await eventually(completed(whole, tenant, 20), within=15)
    assert await sleeper.stop(within=DRAINS_WITHIN) == 0
    assert len(receiver.requests) == 20


def all_leased(servers: EmbeddedServers) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        async with connected(servers) as connection:
            return not await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE leased_by IS NULL")

    return probe
