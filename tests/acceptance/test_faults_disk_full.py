"""PostgreSQL's disk is full: writes are 503, reads work, deliveries wait, and all goes on when there is room again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from scheduler_domain.domain.target import HttpRequest, HttpTarget
from scheduler_domain.infra.embedded import ephemeral_servers
from scheduler_domain.infra.postgres.migrate import upgrade
from tests.integration.api_server import definition, environment, running_api
from tests.support.processes import Processes
from tests.support.receiver import Receiver
from tests.support.stored import definition as stored_definition
from tests.support.stored import store_due, store_schedules
from tests.support.waiting import eventually

pytestmark = pytest.mark.faults

DISK = "64m"
FILL = "CREATE TABLE IF NOT EXISTS filler (bytes text)"
FILL_MORE = "INSERT INTO filler SELECT repeat(md5(random()::text), 60) FROM generate_series(1, $1::int)"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of its own, for whoever may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or _run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)) != 0:
        pytest.skip("mounting a small file system takes root")
    yield folder
    assert _run("umount", "--lazy", str(folder)) == 0


@pytest.fixture
def database_on_it(small_disk: Path) -> Iterator[str]:
    """The address of a migrated database whose tables, though not whose log, lie on the small disk."""
    with ephemeral_servers(nats=False, valkey=False) as servers:
        url = servers.urls.postgres_url
        upgrade(url)
        owner = servers.data_dir.joinpath("postgres").stat()
        os.chown(small_disk, owner.st_uid, owner.st_gid)
        asyncio.run(_move(url, small_disk))
        yield url


async def test_a_full_disk_refuses_writes_serves_reads_and_loses_nothing(
    database_on_it: str, nats_url: str, processes: Processes, receiver: Receiver, tenant: str
) -> None:
    variables = environment(
        database_on_it,
        NATS_URL=nats_url,
        DISPATCHER_PORT="0",
        LOG_LEVEL="info",
        WEBHOOK_ALLOW_NETS="127.0.0.0/8",
        WEBHOOK_ALLOW_HTTP="true",
    )
    dispatcher = processes.scheduler("dispatch", environment=variables)
    await dispatcher.wait_for_line('"event":"dispatcher.ready"', within=20)
    connection = await asyncpg.connect(database_on_it, ssl=False)
    target = HttpTarget(HttpRequest(f"{receiver.url}/hook"))
    async with running_api(variables) as api:
        admin = await api.caller()
        path = (await admin.post("/schedules", json=definition())).headers["location"]
        schedules = await store_schedules(connection, tenant, 2_000, of=stored_definition(target=target))
        due_at = datetime.now(UTC) + timedelta(seconds=5)
        keys = await store_due(connection, tenant, schedules, due_at)
        await eventually(lambda: all_claimed(connection), within=5)
        await fill(connection)
        assert datetime.now(UTC) < due_at, "the disk was not full in time"

        async def refuses() -> bool:
            answer = await admin.post("/schedules", json=definition())
            assert answer.status_code in {201, 503}, answer.text
            return answer.status_code == 503 and int(answer.headers["retry-after"]) <= 2

        await eventually(refuses, within=20)
        await dispatcher.wait_for_line('"event":"record.failed"', within=20)
        assert (await admin.get(path)).status_code == 200
        assert (await admin.get("/ready")).status_code == 200

        await connection.execute("DROP TABLE filler")
        await eventually(lambda: all_completed(connection, tenant, len(keys)), within=60)
        assert (await admin.post("/schedules", json=definition())).status_code == 201
    await connection.close()
    assert {request.headers["Idempotency-Key"] for request in receiver.requests} == {str(key) for key in keys}
    assert dispatcher.exit_code is None


async def fill(connection: asyncpg.Connection) -> None:
    """Leave no room, up to the last page."""
    await connection.execute(FILL)
    for rows in (500, 4):
        with suppress(asyncpg.DiskFullError):
            while True:
                await connection.execute(FILL_MORE, rows)


async def all_claimed(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT count(*) FROM scheduler.due_queue WHERE leased_by IS NULL")


async def all_completed(connection: asyncpg.Connection, tenant: str, count: int) -> bool:
    return bool(
        count
        == await connection.fetchval(
            "SELECT count(*) FROM scheduler.ledger WHERE tenant_id = $1 AND status = 'COMPLETED'", tenant
        )
    )


async def _move(url: str, folder: Path) -> None:
    connection = await asyncpg.connect(f"{url.rsplit('/', 1)[0]}/postgres", ssl=False)
    await connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
    await connection.execute("ALTER DATABASE scheduler SET TABLESPACE small")
    await connection.close()


def _run(*command: str) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode
