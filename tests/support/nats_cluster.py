"""Three NATS servers that form one cluster, each with a disk of its own."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.js import JetStreamContext

from scheduler_domain.infra.embedded import EmbeddedServer
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.nats import Nats

_SIZE = 3


@dataclass(frozen=True, slots=True)
class Member(Nats):
    """One server of a cluster; `routes` are the ports at which the members talk among themselves, its own first."""

    routes: tuple[int, ...] = ()

    def command(self, port: int) -> list[str]:
        command = Nats.command(self, port)
        path = Path(command[-1])
        configuration = json.loads(path.read_text(encoding="utf-8"))
        configuration["cluster"] = {
            "name": "tests",
            "listen": f"127.0.0.1:{self.routes[0]}",
            "routes": [f"nats://127.0.0.1:{route}" for route in self.routes],
        }
        self.folder.write(path.name, json.dumps(configuration))
        return command


@dataclass(frozen=True)
class Cluster:
    """The members by the names under which the servers know one another."""

    members: dict[str, EmbeddedServer]

    @property
    def url(self) -> str:
        return ",".join(server.url for server in self.members.values())

    async def leader_of(self, jetstream: JetStreamContext, stream: str) -> str:
        """Return the name of the member that a stream's writes go through; empty while there is none."""
        cluster = (await jetstream.stream_info(stream)).cluster
        return (cluster and cluster.leader) or ""


@contextmanager
def nats_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster in an empty folder."""
    folder.mkdir()
    folders = [Folder(folder / f"member-{number}") for number in range(_SIZE)]
    routes = [Folder(folder / f"route-{number}").port() for number in range(_SIZE)]
    members: dict[str, EmbeddedServer] = {}
    with ExitStack() as stack:
        for number, own in enumerate(folders):
            name = f"member-{number}-{secrets.token_hex(4)}"
            turned = tuple(routes[number:] + routes[:number])
            members[name] = EmbeddedServer(Member(own, sync_always=False, server_name=name, routes=turned))
            members[name].start()
            stack.callback(members[name].stop)
        yield Cluster(members)
