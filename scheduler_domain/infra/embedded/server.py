"""One embedded server from start to stop, whichever it is; what is particular to it is its recipe.

Design note. Three things must hold whatever dies: no server outlives its program, no two servers share a data folder,
and a stale file never blocks the next start. The keeper (keeper.py) sees to the first. For the others the server's lock
is inherited by the keeper and by each process of the server, and given back by the kernel with the last of them. So
holding it proves that nothing is left of an earlier start, and what that start left lying about may be cleared away.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import psutil

from scheduler_domain.infra.embedded import keeper
from scheduler_domain.infra.embedded.error import EmbeddedServerError
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.locks import FileLock

# Generous: after a crash PostgreSQL replays its log before it answers, and NATS reads its streams.
_ANSWERS_WITHIN = timedelta(seconds=60)
_POLL_SEC = 0.005
_GRACE = timedelta(seconds=10)
_PORT_ATTEMPTS = 3


class Recipe(Protocol):
    """What differs between the servers."""

    @property
    def name(self) -> str:
        """As its makers write it; messages use it."""
        ...

    @property
    def folder(self) -> Folder: ...

    @property
    def stop_signals(self) -> tuple[str, ...]:
        """Names of signals, kindest first; SIGKILL follows them by itself."""
        ...

    def command(self, port: int) -> list[str]:
        """Make data and configuration ready for this port and return the command that starts the server.

        Called while no process of the server exists. The command stays in the foreground.
        """
        ...

    def url(self, port: int) -> str:
        """Return the address for clients, credentials included."""
        ...

    def answers(self, port: int) -> bool:
        """Say whether the server serves requests by now, not merely listens."""
        ...


class EmbeddedServer:
    """A real server as a child of this program; ends with it, at the latest.

    Every method returns only when what it promises has come true. Errors are `EmbeddedServerError`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._port: int | None = None
        self._pid: int | None = None
        self._keeper: subprocess.Popen[str] | None = None
        self._paused = False

    @property
    def name(self) -> str:
        return self._recipe.name

    @property
    def log(self) -> Path:
        return self._recipe.folder.log

    @property
    def url(self) -> str:
        """The address; stays the same while the server is down and after a restart."""
        if self._port is None:
            raise EmbeddedServerError(f"{self.name} was not started")
        return self._recipe.url(self._port)

    @property
    def pid(self) -> int:
        """The process id of the server itself (for PostgreSQL: the postmaster)."""
        if self._pid is None or not self.is_running:
            raise EmbeddedServerError(f"{self.name} is not running")
        return self._pid

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing if it runs already."""
        if self.is_running:
            return
        self._end_keeper()  # it may have ended by itself
        folder = self._recipe.folder
        with folder.lock() as lock:
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                port = self._port or folder.port()
                self._launch(port, lock)
                try:
                    self._wait_until_answering(port)
                except EmbeddedServerError:
                    self._end_keeper()
                    # Somebody may take a free port before the server binds it; any other failure would repeat itself.
                    if attempt == _PORT_ATTEMPTS or not self._lost_its_port():
                        raise
                else:
                    self._port = port
                    return

    def stop(self) -> None:
        """Shut the server down in order and wait for its end; does nothing if it is down."""
        if self._keeper is None:
            return
        if self._paused and self.is_running:
            self.resume()
        self._end_keeper()
        self._wait_until_none_is_left()

    def kill(self) -> None:
        """End every process of the server at once, as a crash would, and leave everything as it lay."""
        self.pause()
        self._signal_all(signal.SIGKILL)
        self._end_keeper()
        self._wait_until_none_is_left()

    def restart(self) -> None:
        """Stop the server if it runs, and start it at the same address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze every process of the server: it accepts connections (the kernel does) and answers nothing."""
        first = psutil.Process(self.pid)
        _freeze([first])  # once it stands still it starts no others that would be missed
        _freeze(first.children(recursive=True))
        self._paused = True

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal_all(signal.SIGCONT)
        self._paused = False

    def _launch(self, port: int, lock: FileLock) -> None:
        folder = self._recipe.folder
        command = folder.account.command(self._recipe.command(port))
        arguments = [os.getpid(), _GRACE.total_seconds(), ",".join(self._recipe.stop_signals), lock.descriptor]
        with folder.fresh_log().open("ab") as log:
            self._keeper = subprocess.Popen(
                [*_KEEPER, *map(str, arguments), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=folder.path,
                env=environment(),
                pass_fds=[lock.descriptor],
                # Ctrl-C in a terminal reaches the whole process group; the servers must outlast the program's drain.
                start_new_session=True,
            )
        self._paused = False
        # An empty line: the keeper ended before it had started the server.
        announced = self._keeper.stdout.readline() if self._keeper.stdout else ""
        self._pid = int(announced) if announced else None

    def _wait_until_answering(self, port: int) -> None:
        deadline = time.monotonic() + _ANSWERS_WITHIN.total_seconds()
        while time.monotonic() < deadline:
            if not self.is_running:
                raise self._failure("ended while starting")
            if self._recipe.answers(port):
                return
            time.sleep(_POLL_SEC)
        raise self._failure(f"did not answer within {_ANSWERS_WITHIN.total_seconds():.0f} s")

    def _lost_its_port(self) -> bool:
        return self._port is None and "in use" in self.log.read_text(encoding="utf-8", errors="replace").lower()

    def _end_keeper(self) -> None:
        """Tell the keeper to stop the server, if it still runs, and wait for both; the keeper's patience is limited."""
        if self._keeper is None:
            return
        with self._keeper as keeper_process:
            if keeper_process.stdin is not None:
                keeper_process.stdin.close()
        self._keeper = None

    def _wait_until_none_is_left(self) -> None:
        self._recipe.folder.lock().release()

    def _signal_all(self, number: signal.Signals) -> None:
        first = psutil.Process(self.pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _failure(self, what: str) -> EmbeddedServerError:
        return EmbeddedServerError(f"{self.name} {what}: {self._recipe.folder.last_words()}", self.log)


_KEEPER = [sys.executable, "-I", "-S", str(Path(keeper.__file__))]


def _freeze(processes: list[psutil.Process]) -> None:
    """Stop processes and wait until they stand still: each of their threads has to take notice."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                time.sleep(_POLL_SEC)


def environment() -> dict[str, str]:
    """Return an environment with nothing of ours: variables such as PGDATA or TZ would change what a server does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
