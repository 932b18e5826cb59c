"""The servers that the product needs, started together in one data folder."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scheduler_domain.infra.embedded.error import EmbeddedServerError
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.locks import FileLock
from scheduler_domain.infra.embedded.nats import Nats
from scheduler_domain.infra.embedded.postgres import Postgres
from scheduler_domain.infra.embedded.server import EmbeddedServer, Recipe
from scheduler_domain.infra.embedded.valkey import Valkey

_OWNER = "owner.lock"
_EPHEMERAL = "scheduler-embedded-"
_STARTS_WITHIN_SEC = 60.0


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Addresses with credentials; empty for a server that was not asked for."""

    postgres_url: str
    nats_url: str
    redis_url: str


class EmbeddedServers:
    """PostgreSQL, NATS with JetStream and Valkey, as children of this program.

    They listen on 127.0.0.1 only and end with the program, even if that is killed. Data, passwords and ports stay in
    the data folder: the next start there finds them again. One program at a time may use a data folder.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        nats: bool = True,
        valkey: bool = True,
        nats_sync_always: bool = True,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._owner: FileLock | None = None
        self._servers: dict[str, EmbeddedServer] = {}
        self._recipes: dict[str, Callable[[Folder], Recipe]] = {}
        if postgres:
            self._recipes["postgres"] = Postgres
        if nats:
            self._recipes["nats"] = lambda folder: Nats(folder, nats_sync_always)
        if valkey:
            self._recipes["valkey"] = Valkey

    def start(self) -> ServerUrls:
        """Start all at once and return when each answers; on an error none is left running.

        Raises EmbeddedServerError, its message one line.
        """
        try:
            self._owner = self._owner or self._take_folder()
            self._servers = self._servers or {
                name: EmbeddedServer(recipe(Folder(self.data_dir / name))) for name, recipe in self._recipes.items()
            }
            self._each(EmbeddedServer.start)
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(f"cannot run servers in {self.data_dir}: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.urls

    def stop(self) -> None:
        """Stop all that run, in order and at once, and let go of the data folder; harmless when repeated."""
        self._each(EmbeddedServer.stop)
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    @property
    def urls(self) -> ServerUrls:
        """Valid from the first start on, and unchanged by restarts."""
        address = {name: server.url for name, server in self._servers.items()}
        return ServerUrls(address.get("postgres", ""), address.get("nats", ""), address.get("valkey", ""))

    @property
    def postgres(self) -> EmbeddedServer:
        return self._server("postgres")

    @property
    def nats(self) -> EmbeddedServer:
        return self._server("nats")

    @property
    def valkey(self) -> EmbeddedServer:
        return self._server("valkey")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _server(self, name: str) -> EmbeddedServer:
        if name not in self._servers:
            raise EmbeddedServerError(f"the embedded {name} was not started")
        return self._servers[name]

    def _each(self, action: Callable[[EmbeddedServer], None]) -> None:
        """Do the same to all servers at once, wait for all, then raise the first error."""
        if not self._servers:
            return
        with ThreadPoolExecutor(len(self._servers), "embedded") as threads:
            done, _ = wait([threads.submit(action, server) for server in self._servers.values()])
        for future in done:
            future.result()

    def _take_folder(self) -> FileLock:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock.take(self.data_dir / _OWNER)
        if lock is None:
            holder = FileLock.last_holder(self.data_dir / _OWNER)
            raise EmbeddedServerError(
                f"{self.data_dir} is in use by process {holder}: stop it, or choose another folder"
            )
        return lock


@contextmanager
def ephemeral_servers(
    *, postgres: bool = True, nats: bool = True, valkey: bool = True, nats_sync_always: bool = True
) -> Iterator[EmbeddedServers]:
    """Run servers in a folder of their own that is removed afterwards; what killed programs left is removed before."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_EPHEMERAL))
    try:
        with EmbeddedServers(
            folder, postgres=postgres, nats=nats, valkey=valkey, nats_sync_always=nats_sync_always
        ) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what killed programs left; what is younger may be that of one which is just about to lock it."""
    oldest = time.time() - _STARTS_WITHIN_SEC
    for folder in Path(tempfile.gettempdir()).glob(f"{_EPHEMERAL}*"):
        with suppress(FileNotFoundError):  # another program sweeps as well, or ends and removes its own
            found = folder.stat()
            is_old = found.st_uid == os.geteuid() and found.st_mtime < oldest
            if is_old and (folder / _OWNER).exists() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Say whether neither a program nor a server of one still holds the folder."""
    for path in (folder / _OWNER, *folder.glob("*/lock")):
        lock = FileLock.take(path)
        if lock is None:
            return False
        lock.release()
    return True
