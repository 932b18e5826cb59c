"""Whatever dies, no embedded server outlives its program and the next start finds its data."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from scheduler_domain.infra.embedded import EmbeddedServer, EmbeddedServerError, EmbeddedServers
from tests.support.processes import Processes, RunningProcess
from tests.support.waiting import eventually

PROGRAM = """
import json, signal, sys
from pathlib import Path
from scheduler_domain.infra.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]))
servers.start()
if "pause" in sys.argv:
    for server in (servers.postgres, servers.nats, servers.valkey):
        server.pause()
print(json.dumps({"urls": [servers.urls.postgres_url], "pids": [servers.postgres.pid, servers.nats.pid]}), flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that one test after the other starts on, each leaving it as a crash does."""
    return tmp_path_factory.mktemp("embedded")


async def started(processes: Processes, folder: Path, *arguments: str) -> RunningProcess:
    process = processes.python("-c", PROGRAM, str(folder), *arguments)
    await process.wait_for_line("pids", within=30)
    return process


class TestAProgramThatIsKilled:
    async def test_takes_its_servers_along_and_loses_no_data(self, processes: Processes, folder: Path) -> None:
        first = await started(processes, folder)
        [url] = json.loads(first.output)["urls"]
        connection = await asyncpg.connect(url, ssl=False)
        await connection.execute("CREATE TABLE IF NOT EXISTS survivor (number int)")
        await connection.execute("INSERT INTO survivor VALUES (1)")
        await first.kill()

        second = await started(processes, folder)
        assert json.loads(second.output)["urls"] == [url]
        connection = await asyncpg.connect(url, ssl=False)
        assert await connection.fetchval("SELECT count(*) FROM survivor") == 1
        await connection.close()
        await second.kill()

    async def test_takes_paused_servers_along_too(self, processes: Processes, folder: Path) -> None:
        process = await started(processes, folder, "pause")
        await process.kill()

    async def test_does_not_keep_the_next_one_waiting_for_a_person(self, processes: Processes, folder: Path) -> None:
        first = await started(processes, folder)
        first.send(signal.SIGKILL)
        second = await started(processes, folder)  # while the servers of the first are still stopping
        await first.wait()
        await second.kill()

    async def test_leaves_a_pid_file_that_the_next_start_sees_through(self, processes: Processes, folder: Path) -> None:
        await (await started(processes, folder)).kill()
        # The number now belongs to a process that is no server: this one.
        (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n")
        await (await started(processes, folder)).kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("embedded")) as servers:
        yield servers


@pytest.fixture(params=["postgres", "nats", "valkey"])
def server(running: EmbeddedServers, request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    chosen: EmbeddedServer = getattr(running, request.param)
    chosen.start()
    yield chosen
    chosen.start()


def is_alive(process: psutil.Process) -> bool:
    """Say whether it can still do anything; a dead one stays listed until its parent asks after it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class TestAServer:
    async def test_that_is_killed_leaves_no_process_and_comes_back_at_the_same_address(
        self, server: EmbeddedServer
    ) -> None:
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        address = server.url
        server.kill()
        await eventually(lambda: not any(map(is_alive, family)), within=5)
        with pytest.raises(EmbeddedServerError, match="is not running"):
            server.kill()
        server.start()
        assert server.url == address

    def test_restarts_under_another_process_id(self, server: EmbeddedServer) -> None:
        before = server.pid
        server.restart()
        assert server.pid != before

    def test_that_is_paused_stands_still_until_it_is_resumed(self, server: EmbeddedServer) -> None:
        first = psutil.Process(server.pid)
        server.pause()
        alive = filter(is_alive, (first, *first.children()))  # a child that had just ended is not asked after meanwhile
        assert {process.status() for process in alive} == {psutil.STATUS_STOPPED}
        server.resume()
        assert psutil.STATUS_STOPPED not in {process.status() for process in (first, *first.children())}

    def test_that_is_paused_can_be_stopped(self, server: EmbeddedServer) -> None:
        server.pause()
        server.stop()
        assert not server.is_running

    async def test_ends_with_its_keeper(self, server: EmbeddedServer) -> None:
        first = psutil.Process(server.pid)
        keeper = first.parent()
        assert keeper is not None
        keeper.kill()
        await eventually(lambda: not is_alive(first), within=10)
        server.start()


async def test_a_paused_postgresql_answers_when_it_is_resumed(running: EmbeddedServers) -> None:
    connection = await asyncpg.connect(running.urls.postgres_url, ssl=False)
    running.postgres.pause()
    answer = asyncio.create_task(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([answer], timeout=0.1)
    assert not done
    running.postgres.resume()
    assert await answer == 1
    await connection.close()
