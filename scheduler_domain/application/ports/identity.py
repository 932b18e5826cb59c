"""Who is asking."""

from typing import Protocol

from scheduler_domain.domain.roles import Caller


class Identity(Protocol):
    async def caller_of(self, token: str) -> Caller:
        """Verify a bearer token and return who it speaks for.

        Raises Unauthenticated with one sentence that does not say which check failed, and Unavailable where the keys
        to verify with cannot be had.
        """
