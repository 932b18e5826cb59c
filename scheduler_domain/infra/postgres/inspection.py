"""A look at a PostgreSQL server, for `scheduler doctor`; changes nothing."""

from datetime import UTC, datetime

import asyncpg

from scheduler_domain.application.ports.inspection import PostgresFacts, TzdataFacts, TzdataMove
from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.postgres.address import PostgresAddress
from scheduler_domain.infra.postgres.migrate import head_revision
from scheduler_domain.infra.postgres.roles import DISPATCH
from scheduler_domain.infra.postgres.statements import statement

_ANSWERS_WITHIN = 5.0
_COUNTS_WITHIN = 60.0
_BEHIND = """
SELECT count(*) FROM schedule_cursor WHERE next_fire_at IS NOT NULL AND tzdata IS DISTINCT FROM $1::text
"""
_LOOK = """
SELECT current_setting('server_version_num')::int AS version,
       current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off' AS is_durable,
       to_regclass('scheduler.alembic_version') IS NOT NULL AS is_migrated,
       clock_timestamp() AS now
"""


async def inspect_postgres(postgres_url: str) -> PostgresFacts:
    """Return what there is to know; Unavailable if the server cannot be reached or lets us not in."""
    try:
        connection = await PostgresAddress(postgres_url).connect(
            timeout=_ANSWERS_WITHIN, command_timeout=_ANSWERS_WITHIN
        )
        try:
            return await _look(connection)
        finally:
            await connection.close(timeout=_ANSWERS_WITHIN)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"cannot be used: {str(error) or 'no answer in time'}") from error


async def inspect_tzdata(postgres_url: str, running: str, most_moves: int) -> TzdataFacts:
    """Return how far the tz database is followed; `running` stands in where no dispatcher has said which one leads.

    Reads every cursor, which takes about a third of a second for a million. Raises Unavailable.
    """
    try:
        connection = await PostgresAddress(postgres_url).connect(
            timeout=_ANSWERS_WITHIN,
            command_timeout=_COUNTS_WITHIN,
            server_settings={"role": DISPATCH, "search_path": "scheduler"},
        )
        try:
            leading = await connection.fetchrow("SELECT version, since FROM tzdata_version_seen")
            behind_count = await connection.fetchval(_BEHIND, running if leading is None else leading["version"])
            moves = await connection.fetch(statement("latest_moves"), most_moves)
        finally:
            await connection.close(timeout=_ANSWERS_WITHIN)
    except asyncpg.UndefinedTableError:
        raise Unavailable("PostgreSQL: the schema is older than this program; run `scheduler migrate`") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"PostgreSQL cannot be used: {str(error) or 'no answer in time'}") from error
    version, since = leading or (None, None)
    return TzdataFacts(version, since, behind_count, tuple(TzdataMove(*row) for row in moves))


async def _look(connection: "asyncpg.Connection[asyncpg.Record]") -> PostgresFacts:
    await connection.fetchrow(_LOOK)  # the first time includes preparing it, and would read as a slow clock
    asked_at = datetime.now(UTC)
    row = await connection.fetchrow(_LOOK)
    answered_at = datetime.now(UTC)
    revision = None
    if row["is_migrated"]:
        revision = await connection.fetchval("SELECT version_num FROM scheduler.alembic_version")
    return PostgresFacts(
        version=row["version"],
        clock_ahead=row["now"] - (asked_at + (answered_at - asked_at) / 2),
        is_durable=row["is_durable"],
        current_revision=revision,
        head_revision=head_revision(),
    )
