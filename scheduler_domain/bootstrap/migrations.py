"""The database schema, for whoever brings it up, down, or asks where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic.util import CommandError
from asyncpg import InterfaceError, PostgresError
from sqlalchemy.exc import DBAPIError

from scheduler_domain.domain.errors import Conflict, Unavailable
from scheduler_domain.infra.postgres import migrate
from scheduler_domain.settings import masked


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """The revision a database is at (None before the first migration), and the one this program needs."""

    current: str | None
    head: str

    @property
    def is_up_to_date(self) -> bool:
        return self.current == self.head


def migrate_up(postgres_url: str) -> None:
    """Bring the schema to the newest revision; idempotent, and safe to run on several hosts at once."""
    with _refused_by_database(postgres_url):
        migrate.upgrade(postgres_url)


def migrate_down(postgres_url: str, revision: str) -> None:
    """Take the schema back to `revision`; `base` removes it. Conflict if there is no such revision."""
    with _refused_by_database(postgres_url):
        migrate.downgrade(postgres_url, revision)


def migration_status(postgres_url: str) -> MigrationStatus:
    with _refused_by_database(postgres_url):
        return MigrationStatus(migrate.current_revision(postgres_url), migrate.head_revision())


@contextmanager
def _refused_by_database(postgres_url: str) -> Iterator[None]:
    """Turn what drivers and alembic raise into one sentence for the person who runs a migration."""
    try:
        yield
    except (OSError, PostgresError, InterfaceError) as error:
        raise Unavailable(f"PostgreSQL at {masked(postgres_url)} cannot be used: {error}") from error
    except DBAPIError as error:
        raise Unavailable(f"PostgreSQL at {masked(postgres_url)} refused: {error.orig}") from error
    except CommandError as error:
        raise Conflict(f"the migrations cannot do that: {error}") from error
