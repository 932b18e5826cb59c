"""Answers already given, so that a client that heard none can ask again and cause nothing twice."""

from typing import Protocol

from msgspec import Struct


class Answer(Struct, frozen=True):
    """A response as it was sent; the request id is not part of it."""

    status: int
    headers: dict[str, str]
    body: str


class RememberedAnswer(Struct, frozen=True):
    """An answer under the key that the client chose, with a digest of what was asked."""

    key: str
    fingerprint: bytes
    answer: Answer


class Answers(Protocol):
    async def find(self, tenant_id: str, key: str) -> RememberedAnswer | None:
        """Return what was answered under the key within the last 24 hours."""


class AnswerTaken(Exception):
    """Another request has answered under the same idempotency key meanwhile; its answer is the one to give."""
