"""The one order in which rows are locked: schedule, then cursor, then queue; several of a table by their ids.

The API holds a schedule with all that is its own in this order (hold_schedule, hold_occurrences). Dispatchers mostly
change one of the three and wait for nobody while they do. Where one transaction of theirs also ends in the schedule,
because its last occurrence is over or its target is gone, it begins with the schedule as well. Each statement about
many rows of the queue sorts them: attempts end, and are put off, in any order, while an edit locks what its schedule
has there. Otherwise each of the two could have what the other waits for, until PostgreSQL ends one of them after
`deadlock_timeout`.
"""

from collections.abc import Iterable
from uuid import UUID

import asyncpg

from scheduler_domain.infra.postgres.statements import statement


async def hold_schedules(connection: asyncpg.pool.PoolConnectionProxy, keys: Iterable[tuple[str, UUID]]) -> None:
    """Lock the schedules of these (tenant, id) for the rest of the transaction, before anything else in it."""
    ordered = sorted(set(keys))
    if ordered:
        await connection.execute(statement("hold_schedules"), [key[0] for key in ordered], [key[1] for key in ordered])
