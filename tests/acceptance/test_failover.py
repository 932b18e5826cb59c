"""PostgreSQL fails over to a streaming standby: nothing acknowledged is lost, nothing due is missed, one key each."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from scheduler_domain.infra.embedded import EmbeddedServer, ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade
from tests.integration.api_server import definition, environment, token
from tests.support.processes import Processes, RunningProcess
from tests.support.receiver import Receiver
from tests.support.replicas import acknowledge_only_what_both_have, either, promote, standby_of
from tests.support.waiting import eventually

EACH_SECOND = {"type": "CRON", "cron": "* * * * * *"}
STANDING_SCHEDULES = 10
LEASE_SECONDS = 4
ANSWERS_WITHIN = 5.5
GOES_ON_WITHIN = 15
Fault = Callable[[EmbeddedServer], Awaitable[None]]


@dataclass(frozen=True)
class Pair:
    primary: EmbeddedServer
    standby: EmbeddedServer


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A primary that acknowledges what its standby has flushed."""
    with ephemeral_servers(nats=False, valkey=False) as servers:
        url = servers.urls.postgres_url
        asyncio.run(asyncio.to_thread(upgrade, url))
        with standby_of(url, tmp_path / "standby") as standby:
            asyncio.run(acknowledge_only_what_both_have(url))
            yield Pair(servers.postgres, standby)


@pytest.fixture
def variables(pair: Pair, nats_url: str, redis_url: str) -> dict[str, str]:
    return environment(
        either(pair.primary.url, pair.standby.url),
        NATS_URL=nats_url,
        REDIS_URL=redis_url,
        PORT="0",
        DISPATCHER_PORT="0",
        DISPATCHER_LEASE_SEC=str(LEASE_SECONDS),
        LOG_LEVEL="info",
        WEBHOOK_ALLOW_NETS="127.0.0.0/8",
        WEBHOOK_ALLOW_HTTP="true",
    )


@pytest.fixture
async def dispatchers(processes: Processes, variables: dict[str, str]) -> list[RunningProcess]:
    started = [processes.scheduler("dispatch", environment=variables) for _ in range(2)]
    for process in started:
        await process.wait_for_line("dispatcher.ready", within=20)
    return started


@pytest.fixture
async def editor(processes: Processes, variables: dict[str, str], tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    process = processes.scheduler("serve", environment=variables)
    line = await process.wait_for_line("http_api.listening", within=20)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    await process.wait_for_http(f"{url}/ready", within=20)
    headers = {"Authorization": f"Bearer {token(tenant, 'editor')}", "X-Tenant-Id": tenant}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


@dataclass
class Customer:
    """Creates schedules one after the other, each repeated under its key until it is acknowledged."""

    client: httpx.AsyncClient
    target: dict[str, Any]
    acknowledged: list[str] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    slowest: float = 0.0

    async def keep_creating(self) -> None:
        while True:
            soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
            trigger = {"type": "ONE_SHOT", "startAt": soon, "ifPast": "RUN_NOW"}
            await self.create(trigger, f"order-{len(self.acknowledged)}")

    async def create(self, trigger: dict[str, str], key: str) -> None:
        body = definition(trigger=trigger, target=self.target, misfire={"policy": "FIRE_ALL"})
        while True:
            answer = await self.client.post("/schedules", json=body, headers={"Idempotency-Key": key})
            self.codes.add(answer.status_code)
            self.slowest = max(self.slowest, answer.elapsed.total_seconds())
            if answer.status_code == httpx.codes.CREATED:
                self.acknowledged.append(answer.json()["id"])
                return
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text


async def is_killed(primary: EmbeddedServer) -> None:
    await asyncio.to_thread(primary.kill)


async def vanishes(primary: EmbeddedServer) -> None:
    """Connections stand and nothing is answered, as if its host were gone from the network."""
    await asyncio.to_thread(primary.pause)


async def is_set_read_only(primary: EmbeddedServer) -> None:
    """The first step of a switchover by hand; the old primary goes on answering reads."""
    connection = await asyncpg.connect(primary.url, ssl=False)
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@pytest.mark.parametrize(
    "primary_fails",
    [
        is_killed,
        pytest.param(vanishes, marks=pytest.mark.faults),
        pytest.param(is_set_read_only, marks=pytest.mark.faults),
    ],
)
async def test_a_failover_to_the_standby_loses_nothing_and_doubles_nothing(
    primary_fails: Fault,
    pair: Pair,
    dispatchers: list[RunningProcess],
    editor: httpx.AsyncClient,
    receiver: Receiver,
    tenant: str,
) -> None:
    customer = Customer(editor, {"kind": "HTTP", "http": {"url": f"{receiver.url}/hook"}})
    for number in range(STANDING_SCHEDULES):
        await customer.create(EACH_SECOND, f"standing-{number}")
    standing = set(customer.acknowledged)
    ordering = asyncio.create_task(customer.keep_creating())
    await receiver.wait_for(3 * STANDING_SCHEDULES, within=20)

    await primary_fails(pair.primary)
    await eventually(lambda: httpx.codes.SERVICE_UNAVAILABLE in customer.codes, within=10)
    await promote(pair.standby.url)
    before = len(customer.acknowledged)
    await eventually(lambda: len(customer.acknowledged) >= before + 20 or ordering.done(), within=GOES_ON_WITHIN)
    ordering.cancel()
    await asyncio.wait([ordering])
    assert ordering.cancelled(), ordering.exception()
    assert customer.slowest < ANSWERS_WITHIN

    until = datetime.now(UTC) + timedelta(seconds=3)
    recorded = await eventually(lambda: all_recorded(pair.standby.url, tenant, until), within=GOES_ON_WITHIN)
    orders = set(customer.acknowledged) - standing
    assert {schedule for schedule, _ in recorded} >= orders | standing
    for schedule in standing:
        seconds = sorted(instant for owner, instant in recorded if owner == schedule)
        assert len(seconds) == (seconds[-1] - seconds[0]).total_seconds() + 1, "each second, once"
    check_keys(receiver, recorded)
    for process in dispatchers:
        assert await process.stop(within=30) == 0


async def all_recorded(url: str, tenant: str, until: datetime) -> dict[tuple[str, datetime], str] | None:
    """Return the keys of all that was due until then, by schedule and instant; None while something is left to do."""
    if datetime.now(UTC) < until:
        return None
    connection = await asyncpg.connect(url, ssl=False)
    try:
        if await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE due_at < $1", until):
            return None
        rows = await connection.fetch(
            "SELECT schedule_id, scheduled_for, id, status FROM scheduler.ledger"
            " WHERE tenant_id = $1 AND scheduled_for < $2",
            tenant,
            until,
        )
    finally:
        await connection.close()
    assert {row["status"] for row in rows} == {"COMPLETED"}
    keys = {(str(row["schedule_id"]), row["scheduled_for"]): str(row["id"]) for row in rows}
    assert len(keys) == len(rows), "no instant has two rows"
    return keys


def check_keys(receiver: Receiver, recorded: dict[tuple[str, datetime], str]) -> None:
    """What is recorded as delivered has arrived, and each instant under the one key that the ledger has."""
    arrived = defaultdict(set)
    for request in receiver.requests:
        schedule = request.headers["ce-source"].rsplit("/", 1)[1]
        arrived[schedule, datetime.fromisoformat(request.headers["ce-time"])].add(request.headers["Idempotency-Key"])
    for occurrence, key in recorded.items():
        assert arrived[occurrence] == {key}
