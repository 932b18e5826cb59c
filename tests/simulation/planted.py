"""Bugs on purpose: each is the code as it is, but for one part that is wrong. A seed has to find every one of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence, Stage
from scheduler_domain.application.ports.due_queue import Claimed, Ended, Postponed
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.application.rescue_occurrences import RescueOccurrences
from scheduler_domain.domain import lease
from scheduler_domain.domain.misfire import Absence
from scheduler_domain.domain.outcome import Delivered, Outcome
from scheduler_domain.domain.planning import Plan
from tests.simulation.installation import Code
from tests.simulation.memory.cursors import MemoryCursors
from tests.simulation.memory.due_queue import MemoryDueQueue
from tests.simulation.memory.schedules import MemorySchedules
from tests.simulation.memory.tables import LedgerRow, QueuedRow, Tables


class _Unfenced(MemoryDueQueue):
    """Writes match a row by its id alone: the statements forgot `lease_token`."""

    def _is_ours(self, claimed: Claimed) -> bool:
        return claimed.id in self._tables.queue


class _ClaimsWhatIsLeased(MemoryDueQueue):
    """The claim forgot `lease_until < now()`."""

    def _is_free(self, row: QueuedRow, now: datetime) -> bool:
        return True


class _RevivesLeases(MemoryDueQueue):
    """The renewal forgot `lease_until > now()`."""

    def _is_renewable(self, row: QueuedRow) -> bool:
        return True


class _UnguardedCursors(MemoryCursors):
    """Planning forgot `next_fire_at IS NOT DISTINCT FROM before_at`, so that a slow leader plans what has ended."""

    def _is_unmoved(self, plan: Plan) -> bool:
        cursor = self._tables.cursors.get((plan.before.tenant_id, plan.before.schedule_id))
        return cursor is not None and cursor.revision == plan.before.revision


class _MovesWithoutPlanning(MemoryCursors):
    """Moves a cursor over all that was planned and inserts only the first of it."""

    def _record(self, plan: Plan) -> int:
        return super()._record(replace(plan, due=plan.due[:1]))


class _LedgerWithoutConflicts(Tables):
    """Inserting into the ledger forgot ON CONFLICT: the end of an occurrence can be written over by another."""

    def end(self, row: LedgerRow) -> None:
        if row.id in self.ledger:
            raise ConnectionError("duplicate key value violates unique constraint")
        self.ledger[row.id] = row


class _TrustsLongerThanLeased(ClaimOccurrences):
    """Trusts a lease for its whole length and the margin on top, counted from the claim."""

    async def _encoded(
        self, claimed: Sequence[Claimed], lease_ends: float, absence: Absence | None
    ) -> tuple[list[HeldOccurrence], list[Ended]]:
        held, ended = await super()._encoded(claimed, lease_ends, absence)
        for item in held:
            item.lease_ends += 2 * lease.MARGIN.total_seconds()
        return held, ended


class _FiresEarly(ClaimOccurrences):
    """Fires ten milliseconds before the instant, to make up for the way."""

    async def _encoded(
        self, claimed: Sequence[Claimed], lease_ends: float, absence: Absence | None
    ) -> tuple[list[HeldOccurrence], list[Ended]]:
        held, ended = await super()._encoded(claimed, lease_ends, absence)
        for item in held:
            item.fire_at -= 0.01
        return held, ended


class _StartsWithoutLease(DeliverOccurrences):
    """Starts what it holds without asking whether it still has the lease."""

    def _started(self, batch: Sequence[HeldOccurrence]) -> list[HeldOccurrence]:
        started = [item for item in batch if item.stage is Stage.HELD]
        for item in started:
            item.stage = Stage.STARTED
        return started


class _KeepsWhatIsRevoked(RescueOccurrences):
    """Says that it obeyed, and lets go of nothing."""

    async def _let_go_of(self, schedules: object) -> None:
        return


class _NeverRenews(RescueOccurrences):
    """Lets leases run out under attempts that take long."""

    async def renew(self) -> int:
        return 0


class _NeverWaits(MemorySchedules):
    """Calls every revocation obeyed, so that changes are acknowledged before dispatchers have let go."""

    async def is_obeyed(self, tenant_id: str, schedule_ids: Sequence[UUID]) -> bool:
        return True


class _CallsFailuresDelivered(RecordOutcomes):
    """Takes silence for consent."""

    def add(
        self, held: Sequence[HeldOccurrence], outcomes: Sequence[Outcome], fired_at: datetime, seconds: float
    ) -> None:
        super().add(held, [Delivered()] * len(outcomes), fired_at, seconds)


class _PostponesForEver(MemoryDueQueue):
    """Frees a row for its next attempt at an instant that nobody looks at."""

    def _postpone(self, row: QueuedRow, item: Postponed) -> None:
        super()._postpone(row, item)
        row.start_tag += timedelta(days=1)


class _DeliversTwice(DeliverOccurrences):
    """Takes what it claimed again for something new, though an older lease of it has been started."""

    def hold(self, held: Iterable[HeldOccurrence]) -> None:
        for item in held:
            self._open.pop(item.claimed.id, None)
            super().hold((item,))


PLANTED: dict[str, Code] = {
    "writes are not fenced by the token": Code(queue=_Unfenced),
    "a lease that ran out is renewed": Code(queue=_RevivesLeases),
    "a claim takes what is leased": Code(queue=_ClaimsWhatIsLeased),
    "planning is not guarded by the instant that was read": Code(cursors=_UnguardedCursors),
    "a cursor moves over what is not inserted": Code(cursors=_MovesWithoutPlanning),
    "an end that is written already fails the batch": Code(tables=_LedgerWithoutConflicts),
    "a lease is trusted for longer than it lasts": Code(claim=_TrustsLongerThanLeased),
    "an occurrence is fired early": Code(claim=_FiresEarly),
    "attempts start without a look at the lease": Code(deliver=_StartsWithoutLease),
    "a dispatcher keeps what was revoked": Code(rescue=_KeepsWhatIsRevoked),
    "leases are never renewed": Code(rescue=_NeverRenews),
    "a change is acknowledged before dispatchers let go": Code(schedules=_NeverWaits),
    "failures are recorded as deliveries": Code(record=_CallsFailuresDelivered),
    "a retry never becomes due": Code(queue=_PostponesForEver),
    "what is under way is started again under a newer lease": Code(deliver=_DeliversTwice),
}
"""What is wrong, and the code that has it."""
