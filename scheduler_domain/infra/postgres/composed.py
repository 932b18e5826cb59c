"""SQLAlchemy Core on the same connections as the fixed statements: composed here, run by asyncpg."""

from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from scheduler_domain.infra.postgres.connections import Connection

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # untyped upstream


async def fetch(connection: Connection, query: Select[Any]) -> list[asyncpg.Record]:
    """Run a composed query; values travel as parameters, never in the text."""
    text, values = compiled(query)
    rows: list[asyncpg.Record] = await connection.fetch(text, *values)
    return rows


def compiled(query: Select[Any]) -> tuple[str, list[Any]]:
    """Return the text of a composed query, and its parameters in order."""
    text = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return text.string, [text.params[name] for name in text.positiontup or ()]
