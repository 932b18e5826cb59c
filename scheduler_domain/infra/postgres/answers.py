"""Answers under idempotency keys (draft-ietf-httpapi-idempotency-key-header)."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from scheduler_domain.application.ports.answers import Answer, AnswerTaken, RememberedAnswer
from scheduler_domain.infra.postgres.connections import Connection
from scheduler_domain.infra.postgres.pool import TenantPool, tenant_statement
from scheduler_domain.infra.postgres.statements import statement

LIFETIME: Final = timedelta(hours=24)
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


class PostgresAnswers:
    """The port application/ports/answers.py on PostgreSQL."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._find = tenant_statement("find_answer")

    async def find(self, tenant_id: str, key: str) -> RememberedAnswer | None:
        row = await self._pool.row(self._find, tenant_id, key, _oldest())
        if row is None:
            return None
        answer = Answer(row["status"], _decode_headers(row["headers"]), row["body"])
        return RememberedAnswer(row["key"], row["fingerprint"], answer)


async def remember(connection: Connection, tenant_id: str, remembered: RememberedAnswer) -> None:
    """Keep the answer in the transaction under way; AnswerTaken where a younger one is kept already."""
    answer = remembered.answer
    kept = await connection.fetchval(
        statement("remember_answer"),
        tenant_id,
        remembered.key,
        remembered.fingerprint,
        answer.status,
        msgspec.json.encode(answer.headers).decode(),
        answer.body,
        _oldest(),
    )
    if kept is None:
        raise AnswerTaken


def _oldest() -> datetime:
    return datetime.now(UTC) - LIFETIME
