"""The folder in which one server lives: its data, configuration, password, port, log and lock."""

import secrets
import socket
from datetime import timedelta
from pathlib import Path

from scheduler_domain.infra.embedded.error import EmbeddedServerError
from scheduler_domain.infra.embedded.locks import FileLock
from scheduler_domain.infra.embedded.privileges import Account

# Below what systems hand out to outgoing connections (32768 on Linux). In that range a client that keeps knocking
# while the server is down can be given the very port it knocks at and end up connected to itself.
_PORTS = range(20_000, 32_000)
_EARLIER_SERVER_ENDS_WITHIN = timedelta(seconds=45)


class Folder:
    """A server's folder, owned by the account that the server runs as and closed to everybody else."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self.path = path
        self.account = Account.for_folder(path)
        self.account.own(path)
        self.log = path / "server.log"

    def lock(self) -> FileLock:
        """Return the lock that each process of the server inherits: whoever holds it knows that none is left.

        After a crash of the program its keepers are still stopping the servers it left; this waits for them.
        """
        path = self.path / "lock"
        lock = FileLock.take(path, within=_EARLIER_SERVER_ENDS_WITHIN)
        if lock is None:
            raise EmbeddedServerError(f"a server of an earlier start still runs in {self.path}", self.log)
        return lock

    def write(self, name: str, text: str) -> Path:
        """Write a file that only the server's account can read."""
        path = self.path / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        self.account.own(path)
        return path

    def password(self) -> str:
        """Return the server's password, made at the first start and kept: other users of the host must not get in."""
        path = self.path / "password"
        if not path.exists():
            self.write("password", secrets.token_urlsafe(24))
        return path.read_text(encoding="ascii")

    def port(self) -> int:
        """Return the port of the last start if it is free, so that addresses outlive a restart; else another one."""
        path = self.path / "port"
        if path.exists() and _is_free(port := int(path.read_text(encoding="ascii"))):
            return port
        port = _free_port()
        self.write("port", str(port))
        return port

    def fresh_log(self) -> Path:
        """Return an empty log file; the log of the start before is kept beside it."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        return self.write(self.log.name, "")

    def last_words(self) -> str:
        """Return the last line of the log, which mostly says why a server ended."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _free_port() -> int:
    """Return a port that nothing listens on; should somebody take it before the server does, the start is repeated."""
    for _ in range(100):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        if _is_free(port):
            return port
    raise EmbeddedServerError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: the connections of one that has just ended must not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
