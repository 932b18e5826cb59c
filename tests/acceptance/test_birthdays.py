"""The whole story of a template, on days that are not today: everybody is greeted at nine where they live, once.

PostgreSQL's clock is set, and API and dispatchers go by that. What is expected is computed with zoneinfo alone.
"""

import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import nats
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from scheduler_domain.infra.postgres.migrate import upgrade
from tests.integration.api_server import environment, token
from tests.support.host_clock import HostClock, needs_faketime
from tests.support.moved_postgres import moved_postgres
from tests.support.processes import Processes
from tests.support.waiting import eventually

pytestmark = needs_faketime

# A Sunday on which the clocks of much of America change, seven hours before it is nine there.
DAY = date(2027, 11, 7)
NINE = time(9)
ZONES = (
    "Pacific/Kiritimati", "Pacific/Chatham", "Pacific/Apia", "Pacific/Auckland", "Australia/Lord_Howe", "Asia/Magadan",
    "Australia/Adelaide", "Australia/Sydney", "Australia/Darwin", "Asia/Tokyo", "Australia/Eucla", "Asia/Shanghai",
    "Asia/Bangkok", "Asia/Yangon", "Asia/Dhaka", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Karachi", "Asia/Kabul",
    "Asia/Dubai", "Asia/Tehran", "Africa/Nairobi", "Africa/Cairo", "Europe/Berlin", "Europe/London", "Atlantic/Azores",
    "America/Noronha", "America/Sao_Paulo", "America/St_Johns", "America/Halifax", "America/New_York", "America/Havana",
    "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles", "America/Anchorage",
    "Pacific/Marquesas", "Pacific/Honolulu", "Pacific/Niue", "Pacific/Pago_Pago",
)  # fmt: skip
# Where the clock stops just before it is nine; it passes over the others, who are greeted at the next stop.
LANDMARKS = ("Pacific/Kiritimati", "Pacific/Chatham", "Australia/Eucla", "Asia/Kathmandu",
             "America/New_York", "Pacific/Niue")  # fmt: skip
BEFORE = timedelta(seconds=2)
"""Longer than a dispatcher takes to notice that its database's clock was set."""
ON_TIME = timedelta(seconds=1)
CROWD = 10_000


@dataclass(slots=True)
class Installation:
    """A database on a day of the test's choosing, and what a tenant sees of it."""

    url: str
    clock: HostClock
    tenant: str
    stream: JetStreamContext
    ahead: timedelta = timedelta(0)
    greetings: list[tuple[str, datetime, str]] = field(default_factory=list)
    """Id, instant and text of what has arrived in the stream, in that order."""

    def set(self, at: datetime) -> None:
        # Whole seconds are what the clock takes; rounded down, so that nothing is due before it was asked for.
        self.ahead = timedelta(seconds=math.floor((at - datetime.now(UTC)).total_seconds()))
        self.clock.set(self.ahead)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def watch(self) -> None:
        """Take what the stream holds and will hold, where a message that was sent twice is stored once."""
        await self.stream.subscribe(f"events.{self.tenant}.birthdays", cb=self._take, ordered_consumer=True)

    async def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        text = json.loads(message.data)
        self.greetings.append((headers["ce-id"], datetime.fromisoformat(headers["ce-time"]), text))


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, HostClock]]:
    with moved_postgres(tmp_path_factory.mktemp("moved") / "postgres") as (url, clock):
        yield url, clock


@pytest.fixture
async def installation(
    moved: tuple[str, HostClock], jetstream: JetStreamContext, nats_url: str, tenant: str
) -> AsyncIterator[Installation]:
    url, clock = moved
    clock.set(timedelta(0))
    connection = await asyncpg.connect(url, ssl=False)
    await connection.execute(f'CREATE DATABASE "{tenant}" STRATEGY file_copy')
    address = f"{url.rsplit('/', 1)[0]}/{tenant}"
    with ThreadPoolExecutor(1) as thread:  # the migrations run a loop of their own
        thread.submit(upgrade, address).result()
    client = await nats.connect(nats_url)
    yield Installation(address, clock, tenant, client.jetstream())
    await client.close()
    await connection.execute(f'DROP DATABASE "{tenant}" WITH (FORCE)')
    await connection.close()


@pytest.fixture
def variables(installation: Installation, nats_url: str) -> dict[str, str]:
    return environment(installation.url, NATS_URL=nats_url, PORT="0", DISPATCHER_PORT="0", LOG_LEVEL="info")


@asynccontextmanager
async def serving(
    processes: Processes, variables: dict[str, str], installation: Installation
) -> AsyncIterator[httpx.AsyncClient]:
    """Run an API; its client speaks for the tenant, with tokens of the database's day."""
    api = processes.scheduler("serve", environment=variables)
    line = await api.wait_for_line("http_api.listening", within=30)
    url = "http://" + line.split("http://", maxsplit=1)[1].split('"')[0]
    await api.wait_for_http(f"{url}/ready", within=20)

    async def sign(request: httpx.Request) -> None:
        now = int(installation.now.timestamp())
        signed = token(installation.tenant, "editor", iat=now, exp=now + 600)
        request.headers.update({"Authorization": f"Bearer {signed}", "X-Tenant-Id": installation.tenant})

    hooks = {"request": [sign]}
    async with httpx.AsyncClient(base_url=url, event_hooks=hooks, trust_env=False, timeout=60) as client:
        yield client
    await api.stop()


def person(name: str, zone: str, born: date = date(1988, DAY.month, DAY.day), **more: str) -> dict[str, Any]:
    parameters = {"firstName": name, "lastName": "L", "dateOfBirth": born.isoformat(), "tz": zone, **more}
    return {"key": name, "parameters": parameters}


async def applied(client: httpx.AsyncClient, people: Iterable[dict[str, Any]]) -> dict[str, int]:
    body = "".join(json.dumps(each) + "\n" for each in people)
    answer = await client.post(
        "/templates/birthday/instances:batch?results=failed",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    counts: dict[str, int] = json.loads(answer.text.splitlines()[-1])["summary"]
    return counts


async def put(client: httpx.AsyncClient, changed: dict[str, Any]) -> None:
    """Change a person, as soon as the API has noticed what day it is: until then it takes the token for a forgery."""

    async def is_taken() -> bool:
        path = f"/templates/birthday/instances/{changed['key']}"
        answer = await client.put(path, json={"parameters": changed["parameters"]})
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == httpx.codes.OK

    await eventually(is_taken, within=15)


def local(zone: str, day: date, at: time) -> datetime:
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)


def nine(zone: str) -> datetime:
    return local(zone, DAY, NINE)


def greeting(name: str) -> str:
    return f"Hey, {name} L it's your birthday"


def name_of(zone: str) -> str:
    return zone.replace("/", ".")


@pytest.mark.parametrize(
    "stops",
    # At nine in each of the zones takes two minutes.
    [LANDMARKS, pytest.param(ZONES, marks=[pytest.mark.faults, pytest.mark.timeout(300)])],
    ids=["landmarks", "all"],
)
async def test_everybody_is_greeted_at_nine_where_they_live_on_their_day_and_once(
    stops: tuple[str, ...], processes: Processes, variables: dict[str, str], installation: Installation
) -> None:
    installation.set(nine(ZONES[0]) - timedelta(hours=20))
    expected = {greeting(name_of(zone)): nine(zone) for zone in ZONES}
    expected[greeting("Later")] = nine("Asia/Tokyo")  # was the day after
    expected[greeting("Moved")] = nine("Asia/Tokyo")  # was in London
    expected[greeting("Followed")] = nine("Pacific/Kiritimati")  # goes to Niue, where it is that day once more
    expected[greeting("Evening")] = nine("Pacific/Kiritimati")  # wants to be greeted at six p.m. from then on
    async with serving(processes, variables, installation) as client:
        gone = [person("Gone", "Asia/Tokyo"), person("GoneToo", "Pacific/Niue")]
        changing = [
            person("Later", "Asia/Tokyo", DAY.replace(year=1990, day=8)),
            person("Moved", "Europe/London"),
            person("Followed", "Pacific/Kiritimati"),
            person("Evening", "Pacific/Kiritimati"),
        ]
        people = [person(name_of(zone), zone) for zone in ZONES]
        assert (await applied(client, [*people, *gone, *changing]))["created"] == len(people + gone + changing)
        assert (await client.delete("/templates/birthday/instances/Gone")).status_code == httpx.codes.NO_CONTENT
        await put(client, person("Later", "Asia/Tokyo"))
        await put(client, person("Moved", "Asia/Tokyo"))
        dispatcher = processes.scheduler("dispatch", environment=variables)
        await dispatcher.wait_for_line("dispatcher.ready", within=20)
        await installation.watch()
        for instant in sorted({nine(zone) for zone in stops}):
            installation.set(instant - BEFORE)
            due = {text for text, at in expected.items() if at <= instant}
            await eventually(lambda due=due: {text for _, _, text in installation.greetings} >= due, within=20)
            assert installation.now >= instant
            if instant == nine("Pacific/Kiritimati"):
                await put(client, person("Followed", "Pacific/Niue"))
                await put(client, person("Evening", "Pacific/Kiritimati", sendAt="18:00"))
                await client.delete("/templates/birthday/instances/GoneToo")
        await assert_ended(installation, len(expected), {nine(zone) for zone in stops})
        await assert_next_year(client)
    assert Counter(text for _, _, text in installation.greetings) == Counter(expected.keys())
    assert {text: at for _, at, text in installation.greetings} == expected
    assert await dispatcher.stop() == 0


async def assert_ended(installation: Installation, count: int, on_time: set[datetime]) -> None:
    """Each is in the ledger once, delivered; where the clock stopped, within a second."""
    connection = await asyncpg.connect(installation.url, ssl=False)

    async def all_ended() -> bool:
        return bool(await connection.fetchval("SELECT count(*) >= $1 FROM scheduler.ledger", count))

    await eventually(all_ended, within=10)
    rows = await connection.fetch("SELECT scheduled_for, fired_at, status FROM scheduler.ledger")
    await connection.close()
    assert Counter(row["status"] for row in rows) == {"COMPLETED": count}
    late = {row["scheduled_for"]: row["fired_at"] - row["scheduled_for"] for row in rows}
    assert on_time <= late.keys()
    assert all(timedelta(0) <= late[instant] <= ON_TIME for instant in on_time), late


async def assert_next_year(client: httpx.AsyncClient) -> None:
    """Everybody's next one is at nine again, or when they want it since, on the clocks of that day."""
    listed: list[dict[str, Any]] = []

    async def is_answered() -> bool:
        answer = await client.get("/templates/birthday/instances", params={"pageSize": 200})
        listed[:] = answer.json().get("items", [])
        return answer.status_code == httpx.codes.OK

    await eventually(is_answered, within=15)
    for item in listed:
        at = time.fromisoformat(item["parameters"].get("sendAt", "09:00"))
        wanted = local(item["parameters"]["tz"], DAY.replace(year=DAY.year + 1), at)
        assert datetime.fromisoformat(item["nextFireAt"]) == wanted, item
    assert len(listed) == len(ZONES) + 4


async def test_ten_thousand_birthdays_of_one_day_outlast_a_dispatcher_that_dies_amid_them_and_a_day_without(
    processes: Processes, variables: dict[str, str], installation: Installation
) -> None:
    instant = nine("Europe/London")
    installation.set(instant - timedelta(hours=1))
    elsewhere = ("Asia/Kolkata", "America/New_York", "Pacific/Niue")  # nine there was before, and will be meanwhile
    people = [person(f"p{number}", "Europe/London") for number in range(CROWD)]
    async with serving(processes, variables, installation) as client:
        counts = await applied(client, [*people, *[person(name_of(zone), zone) for zone in elsewhere]])
    assert counts["created"] == CROWD + len(elsewhere)
    expected = {greeting(f"p{number}"): instant for number in range(CROWD)}
    expected |= {greeting(name_of(zone)): nine(zone) for zone in elsewhere[1:]}
    victim = processes.scheduler("dispatch", environment=variables)
    await victim.wait_for_line("dispatcher.ready", within=20)
    await installation.watch()
    installation.set(instant - BEFORE)
    await eventually(lambda: len(installation.greetings) >= CROWD // 10, within=30)
    await victim.kill()
    installation.set(instant + timedelta(days=1))
    heir = processes.scheduler("dispatch", environment=variables)
    await heir.wait_for_line("dispatcher.ready", within=20)
    await eventually(lambda: len(installation.greetings) >= len(expected), within=60)
    await assert_ended(installation, len(expected), set())
    assert Counter(text for _, _, text in installation.greetings) == Counter(expected.keys())
    assert {text: at for _, at, text in installation.greetings} == expected
    assert await heir.stop() == 0
