"""Real servers without Docker, packages of the host or root: what `scheduler dev`, the tests and the benchmarks run on.

servers.py     all of them, in one data folder      server.py   one of them: start, stop, kill, pause
postgres.py    nats.py    valkey.py                 what is particular to each
keeper.py      the small process that lets no server outlive its program
folder.py      locks.py   privileges.py   binaries.py   machine.py   what these stand on
"""

from scheduler_domain.infra.embedded.error import EmbeddedServerError
from scheduler_domain.infra.embedded.server import EmbeddedServer
from scheduler_domain.infra.embedded.servers import EmbeddedServers, ServerUrls, ephemeral_servers

__all__ = ["EmbeddedServer", "EmbeddedServerError", "EmbeddedServers", "ServerUrls", "ephemeral_servers"]
