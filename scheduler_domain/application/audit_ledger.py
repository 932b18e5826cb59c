"""Audit: recompute what a schedule should have fired and compare it with what the queue and the ledger hold.

The promise it checks: each expected instant has exactly one row, whatever became of it. So what is missing is a defect,
of this product or of whoever wrote to its tables, and "why did it not fire?" is answered by the rows that are there.
"""

from datetime import datetime
from uuid import UUID

from scheduler_domain.application.ports.audits import Audits
from scheduler_domain.application.read_schedules import NO_SUCH_SCHEDULE
from scheduler_domain.domain.audit import MOST_INSTANTS, Audit, auditable_range, compared
from scheduler_domain.domain.backfill import check_computable, instants_between
from scheduler_domain.domain.errors import InvalidField, NotFound
from scheduler_domain.domain.roles import Caller


class AuditLedger:
    def __init__(self, audits: Audits) -> None:
        self._audits = audits

    async def __call__(self, caller: Caller, schedule_id: UUID, from_: datetime, to: datetime) -> Audit:
        """Return what was found. Raises NotFound, InvalidField, and Conflict where nothing can be recomputed."""
        if to <= from_:
            raise InvalidField.at("/query/to", "ends-before-start", "`to` lies after `from`")
        account = await self._audits.account(caller.tenant_id, schedule_id)
        if account is None:
            raise NotFound(NO_SUCH_SCHEDULE)
        check_computable(account.cursor)
        within = auditable_range(account, from_, to)
        if within is None:
            return Audit(None, None)
        expected = instants_between(account.cursor, *within, MOST_INSTANTS, "/query/to")
        known = await self._audits.known(caller.tenant_id, schedule_id, *within, 2 * MOST_INSTANTS)
        present = {item.id for item in known}
        unseen = [item for item in expected if item.planned_id not in present]
        ids = [id_ for item in unseen for id_ in (item.planned_id, item.id)]
        elsewhere = await self._audits.existing(caller.tenant_id, schedule_id, ids) if ids else set()
        return compared(*within, expected, known, elsewhere)
