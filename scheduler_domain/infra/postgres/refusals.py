"""What a database's refusal is about: the server's state, or one of the rows that it was given.

Without this file one row that the database will not have would keep all that is written with it from being written,
now and in every later try; or a server that is away would pass for such a row, and its outcome be given up.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg
import structlog

from scheduler_domain.application.ports.due_queue import Ended, Postponed
from scheduler_domain.infra.postgres.address import ONLY_READS

_OUTAGE_CLASSES: Final = frozenset({"08", "28", "3D", "40", "53", "57", "58"})
_IDLE_TOO_LONG: Final = "25P03"
_OUTAGES: Final = frozenset({ONLY_READS, _IDLE_TOO_LONG, "42501", "42P01", "42703", "3F000"})
_ROW_CLASSES: Final = frozenset({"21", "22", "23", "54", "P0", "XX"})
_log = structlog.get_logger(__name__)

Outcome = TypeVar("Outcome", Ended, Postponed)
Written = TypeVar("Written")


def is_outage(error: asyncpg.PostgresError) -> bool:
    """Tell a server that cannot serve now from one that refuses what it was asked (PostgreSQL manual, appendix A).

    Classes 08, 53 and 57: connection, resources, operator; 40: a rollback that a repetition cures; 25006: no primary,
    or no longer; 25P03: a transaction that was ended because this process stood still in it; 42501, 42P01, 42703 and
    28: a schema, role or table that a migration or a grant has yet to bring.
    """
    state = error.sqlstate or ""
    return state[:2] in _OUTAGE_CLASSES or state in _OUTAGES


def is_about_a_row(error: asyncpg.PostgresError) -> bool:
    """Tell whether one row's values can have brought it about, so that others may fare better.

    Class 21: a row that came twice; 22 and 23: a value, a constraint; 54: too large; P0: a trigger's veto; XX: a page
    that cannot be read. Of any other class (a statement that does not fit the schema, a plan that a migration
    outdated) all rows fare alike.
    """
    return (error.sqlstate or "")[:2] in _ROW_CLASSES


async def each_written(
    write: Callable[[Sequence[Outcome]], Awaitable[set[Written]]], outcomes: Sequence[Outcome]
) -> set[Written]:
    """Write outcomes together; where a row of them is refused, in halves, until that one alone is left out.

    It is logged, and its occurrence left to its lease. Raises whatever is no row's fault; what was written by then is
    fenced when it is written again.
    """
    try:
        return await write(outcomes)
    except asyncpg.PostgresError as error:
        if not is_about_a_row(error):
            raise
        if len(outcomes) == 1:
            claimed = outcomes[0].claimed
            _log.error(
                "record.refused",
                tenant_id=claimed.tenant_id,
                schedule_id=str(claimed.schedule_id),
                occurrence_id=str(claimed.id),
                error=repr(error),
            )
            return set()
    middle = len(outcomes) // 2
    return await each_written(write, outcomes[:middle]) | await each_written(write, outcomes[middle:])
