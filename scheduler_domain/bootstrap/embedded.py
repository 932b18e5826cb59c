"""Real servers for a machine that has none."""

from contextlib import AbstractContextManager
from pathlib import Path

from scheduler_domain.infra.embedded import EmbeddedServer, EmbeddedServers, ephemeral_servers

__all__ = ["EmbeddedServer", "EmbeddedServers", "embedded_servers"]


def embedded_servers(
    data_dir: Path | None, *, postgres: bool, nats: bool, valkey: bool
) -> AbstractContextManager[EmbeddedServers]:
    """Return servers that run while the context is open, their data in `data_dir`, or kept nowhere if that is None."""
    if data_dir is None:
        return ephemeral_servers(postgres=postgres, nats=nats, valkey=valkey)
    return EmbeddedServers(data_dir, postgres=postgres, nats=nats, valkey=valkey)
