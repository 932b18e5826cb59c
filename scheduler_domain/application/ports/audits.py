"""The history of a schedule as an audit sees it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from scheduler_domain.domain.audit import Account, Known


class Audits(Protocol):
    async def account(self, tenant_id: str, schedule_id: UUID) -> Account | None:
        """Return what is to be known of a schedule, or None where there is none."""

    async def known(
        self, tenant_id: str, schedule_id: UUID, from_: datetime, to: datetime, most: int
    ) -> Sequence[Known]:
        """Return the occurrences of the plan in [from_, to), queued and ended, in one snapshot, ascending."""

    async def existing(self, tenant_id: str, schedule_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
        """Return which of these occurrences exist, at whatever instant."""
