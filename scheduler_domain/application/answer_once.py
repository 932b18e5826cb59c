"""Answer once: a request that is repeated under its idempotency key gets the answer it got, and causes nothing.

The answer is kept in the transaction that makes it true. So there is no moment at which the change is stored and the
answer is not, whoever is killed when; a repetition that arrives meanwhile waits for the first one's commit.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

from scheduler_domain.application.ports.answers import Answer, Answers, AnswerTaken, RememberedAnswer
from scheduler_domain.domain.errors import Conflict, IdempotencyMismatch

Result = TypeVar("Result")


class Once(Struct, Generic[Result], frozen=True):
    """How the result of a write is answered, and under which key; no key, nothing is remembered."""

    answer: Callable[[Result], Answer]
    key: str | None = None
    fingerprint: bytes = b""

    def remembered(self, result: Result) -> RememberedAnswer | None:
        if self.key is None:
            return None
        return RememberedAnswer(self.key, self.fingerprint, self.answer(result))


class AnswerOnce:
    """Runs writes under idempotency keys."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def __call__(
        self,
        tenant_id: str,
        once: Once[Result],
        write: Callable[[Once[Result]], Awaitable[Result]],
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """Return the answer of `write`, or the one that was given under the key.

        An answer can be kept before all that it promises is so, as that of a pause is; `settle` waits for the rest
        before it is given again. Raises IdempotencyMismatch where the key was used for another request, and whatever
        `write` and `settle` raise.
        """
        if once.key is None:
            return once.answer(await write(once))
        known = await self._known(tenant_id, once.key, once.fingerprint)
        if known is None:
            try:
                return once.answer(await write(once))
            except AnswerTaken:
                known = await self._known(tenant_id, once.key, once.fingerprint)
            if known is None:
                raise Conflict("a request with this Idempotency-Key is under way; try again shortly")
        if settle is not None:
            await settle()
        return known

    async def _known(self, tenant_id: str, key: str, fingerprint: bytes) -> Answer | None:
        remembered = await self._answers.find(tenant_id, key)
        if remembered is None:
            return None
        if remembered.fingerprint != fingerprint:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used for another request within the last 24 hours; take a new key"
            )
        return remembered.answer
