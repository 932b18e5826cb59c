"""A PostgreSQL that lives on another day: its clock is set by the test, and with it what everybody goes by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scheduler_domain.infra.embedded import EmbeddedServer
from scheduler_domain.infra.embedded.folder import Folder
from scheduler_domain.infra.embedded.postgres import Postgres
from tests.support.host_clock import HostClock


@dataclass(frozen=True, slots=True)
class MovedPostgres(Postgres):
    variables: tuple[tuple[str, str], ...] = ()

    def command(self, port: int) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.variables), *Postgres.command(self, port)]


@contextmanager
def moved_postgres(path: Path) -> Iterator[tuple[str, HostClock]]:
    """Run one in an empty folder; yields its address and its clock, which is right at first."""
    folder = Folder(path)
    clock = HostClock(path / "clock")
    server = EmbeddedServer(MovedPostgres(folder, variables=tuple(clock.variables.items())))
    server.start()
    try:
        yield server.url, clock
    finally:
        server.stop()
