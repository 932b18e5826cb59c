"""A government changes its clocks: a release with a newer tz database takes over from one with the older.

Two zones get the clocks of another in the newer database: what was due in an hour in one of them is due now, and what
has fired today in the other would come round again an hour later.
"""

import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from scheduler_domain.domain.ids import occurrence_id
from scheduler_domain.domain.schedule import CronTrigger, ScheduleDefinition
from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.domain.triggers import tzdata_version
from scheduler_domain.infra.embedded import ServerUrls
from tests.acceptance.scheduler_command import scheduler
from tests.support.processes import Processes
from tests.support.receiver import Receiver
from tests.support.stored import definition, store_schedules
from tests.support.waiting import eventually

READY = '"event":"dispatcher.ready"'
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEWER = "2099a"
# Neither the zones nor the ones whose clocks they get know daylight saving time.
NEW_CLOCKS = {"Asia/Tokyo": "Australia/Brisbane", "Asia/Manila": "Asia/Bangkok"}


@pytest.fixture
def newer_database(tmp_path: Path) -> Path:
    """A tz database of a newer edition; what it does not hold comes from the installed one."""
    folder = tmp_path / "zoneinfo"
    for zone, like in NEW_CLOCKS.items():
        place = folder / zone
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((files("tzdata") / "zoneinfo").joinpath(*like.split("/")).read_bytes())
    (folder / "tzdata.zi").write_text(f"# version {NEWER}\n", encoding="ascii")
    return folder


@pytest.fixture
def environment(database: str, servers: ServerUrls) -> dict[str, str]:
    return {
        "POSTGRES_URL": database,
        "NATS_URL": servers.nats_url,
        "DISPATCHER_PORT": "0",
        "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }


def daily(zone: str, at: datetime, receiver: Receiver) -> ScheduleDefinition:
    local = at.astimezone(ZoneInfo(zone))
    cron = CronTrigger(f"{local.second} {local.minute} {local.hour} * * *")
    return definition(cron, HttpTarget(HttpRequest(f"{receiver.url}/{zone}")), tz=zone)


def key_of(tenant: str, schedule: UUID, zone: str, at: datetime) -> str:
    """The key of an occurrence, by its name: the local time in the zone as it was."""
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    order_ms = int(local.replace(tzinfo=UTC).timestamp() * 1000)
    return str(occurrence_id(tenant, schedule, "SCHEDULED", local.isoformat(), order_ms))


async def cursor_of(connection: asyncpg.Connection, schedule: UUID) -> tuple[datetime, str]:
    row = await connection.fetchrow(
        "SELECT next_fire_at, tzdata FROM scheduler.schedule_cursor WHERE schedule_id = $1", schedule
    )
    return row["next_fire_at"], row["tzdata"]


async def test_moved_occurrences_fire_once_at_their_new_instant_and_are_listed(
    connection: asyncpg.Connection,
    processes: Processes,
    environment: dict[str, str],
    newer_database: Path,
    receiver: Receiver,
    tenant: str,
) -> None:
    with_newer = {**environment, "PYTHONTZPATH": str(newer_database)}
    older = processes.scheduler("dispatch", environment=environment)
    await older.wait_for_line(READY, within=15)
    now = datetime.now(UTC).replace(microsecond=0)
    soon, then = now + timedelta(seconds=3), now + timedelta(seconds=30)
    [again] = await store_schedules(
        connection, tenant, of=daily("Asia/Manila", soon, receiver), planned_from=soon - timedelta(seconds=1)
    )
    [ahead] = await store_schedules(connection, tenant, of=daily("Asia/Tokyo", then + HOUR, receiver), planned_from=now)
    await receiver.wait_for(1, within=15)
    await eventually(lambda: connection.fetchval("SELECT count(*) = 1 FROM scheduler.ledger"), within=10)
    assert await cursor_of(connection, ahead) == (then + HOUR, tzdata_version())

    newer = processes.scheduler("dispatch", environment=with_newer)
    await newer.wait_for_line('"event":"tzdata.followed"', within=20)
    assert await cursor_of(connection, again) == (soon + DAY + HOUR, NEWER)
    assert await older.stop() == 0

    await receiver.wait_for(2, within=60)
    first, second = receiver.requests
    assert (first.path, first.headers["Idempotency-Key"]) == (
        "/Asia/Manila",
        key_of(tenant, again, "Asia/Manila", soon),
    )
    assert (second.path, second.headers["Idempotency-Key"]) == (
        "/Asia/Tokyo",
        key_of(tenant, ahead, "Asia/Tokyo", then + HOUR),
    )
    assert then <= second.at < then + timedelta(seconds=5)
    await eventually(lambda: connection.fetchval("SELECT count(*) = 2 FROM scheduler.ledger"), within=10)
    assert await cursor_of(connection, ahead) == (then + DAY, NEWER)

    ended = await scheduler("doctor", "--tzdata", "--json", environment=with_newer)
    told = json.loads(ended.stdout)
    assert (told["running"], told["leading"], told["behindCount"]) == (NEWER, NEWER, 0)
    moves = {move["scheduleId"]: (move["was"], move["is"]) for move in told["moves"]}
    assert moves == {
        str(again): (_told(soon + DAY), _told(soon + DAY + HOUR)),
        str(ahead): (_told(then + HOUR), _told(then)),
    }


async def test_an_older_dispatcher_leaves_the_planning_to_the_newer_one(
    connection: asyncpg.Connection,
    processes: Processes,
    environment: dict[str, str],
    newer_database: Path,
    receiver: Receiver,
    tenant: str,
) -> None:
    newer = processes.scheduler("dispatch", environment={**environment, "PYTHONTZPATH": str(newer_database)})
    older = processes.scheduler("dispatch", environment=environment)
    await newer.wait_for_line(READY, within=15)
    await older.wait_for_line('"event":"tzdata.overtaken"', within=20)
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    [ahead] = await store_schedules(
        connection, tenant, of=daily("Asia/Tokyo", then + HOUR, receiver), planned_from=then
    )
    # Stored as by an API of the older release, and about to be planned: by the older clocks it is due in an hour.
    await connection.execute("UPDATE schedule_cursor SET next_fire_at = now()")
    await eventually(lambda: connection.fetchval("SELECT count(*) = 1 FROM scheduler.due_queue"), within=15)
    assert await connection.fetchval("SELECT scheduled_for FROM scheduler.due_queue") == then
    assert (await cursor_of(connection, ahead))[1] == NEWER


async def test_the_doctor_tells_in_words_what_leads(database: str) -> None:
    ended = await scheduler("doctor", "--tzdata", environment={"POSTGRES_URL": database})
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout.splitlines()[0].split() == ["this", "program", tzdata_version()]
    assert "none has run yet" in ended.stdout


async def test_the_doctor_needs_a_migrated_database(empty_database: str) -> None:
    ended = await scheduler("doctor", "--tzdata", environment={"POSTGRES_URL": empty_database})
    assert ended.exit_code == 1
    assert ended.error


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
