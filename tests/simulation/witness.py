"""The witness: hears what is promised and what is done, and says at once what must not be.

It trusts no store. Who may deliver what, it knows from the answers to claims and renewals alone; what happened, from
the targets. What a change of a schedule withdraws, the store has to tell it.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.domain import lease
from tests.simulation.memory.tables import LedgerRow, Listener, QueuedRow, ScheduleKey

CLOCK_ERROR = timedelta(milliseconds=5)
"""A dispatcher's clock is off by half the round trip of its best sample at most, and links take milliseconds."""


@dataclass(slots=True)
class Grant:
    """A lease as its holder was told of it."""

    holder: int
    token: int
    until: datetime
    is_given_up: bool = False
    is_withdrawn: bool = False


@dataclass(slots=True)
class Attempt:
    holder: int
    occurrence_id: UUID
    started_at: datetime
    is_withdrawn: bool = False


@dataclass(slots=True)
class Seen:
    """All that is known of one occurrence."""

    key: ScheduleKey | None = None
    kind: str = "SCHEDULED"
    scheduled_for: datetime | None = None
    due_at: datetime | None = None
    is_planned: bool = False
    grants: list[Grant] = field(default_factory=list)
    open_attempts: list[Attempt] = field(default_factory=list)
    attempt_count: int = 0
    arrived_count: int = 0
    told_to: set[int] = field(default_factory=set)
    """Who was told by the target that it has it."""
    is_ended: bool = False
    """A holder of a valid lease was told that its end is written."""


class Witness(Listener):
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.seen: defaultdict[UUID, Seen] = defaultdict(Seen)
        self.ids: dict[tuple[ScheduleKey, str, datetime], UUID] = {}
        self.quiet: dict[ScheduleKey, str] = {}
        """Schedules that nothing may be started of, since a pause or a deletion of them was acknowledged."""
        self.violations: list[str] = []
        """What did not hold; kept and not raised, because a dispatcher's loops would take it for an outage."""

    def planned(self, row: QueuedRow) -> None:
        seen = self.seen[row.id]
        if seen.is_planned:
            self._violated(f"{row.id} is planned a second time")
        if seen.is_ended:
            self._violated(f"{row.id} is planned again after it ended")
        known = self.ids.setdefault((row.key, row.kind, row.scheduled_for), row.id)
        if known != row.id:
            self._violated(f"one instant has two keys, {known} and {row.id}")
        seen.is_planned = True
        seen.key, seen.kind, seen.scheduled_for, seen.due_at = row.key, row.kind, row.scheduled_for, row.due_at

    def withdrawn(self, row: QueuedRow) -> None:
        seen = self.seen[row.id]
        seen.is_planned = False
        for grant in seen.grants:
            grant.is_withdrawn = True
        for attempt in seen.open_attempts:
            attempt.is_withdrawn = True

    def taken_back(self, row: QueuedRow) -> None:
        self.withdrawn(row)
        self.seen[row.id].is_planned = True

    def claimed(self, holder: int, claimed: Claimed, until: datetime) -> None:
        seen, now = self.seen[claimed.id], self._now()
        if seen.is_ended:
            self._violated(f"{claimed.id} is claimed after it ended")
        for grant in seen.grants:
            is_over = grant.until <= now or grant.is_given_up or grant.is_withdrawn
            if not is_over:
                self._violated(f"{claimed.id} is leased to {holder} while {grant.holder} has it")
            if grant.token >= claimed.lease_token and not grant.is_withdrawn:
                self._violated(f"{claimed.id} is leased under token {claimed.lease_token} a second time")
        seen.grants.append(Grant(holder, claimed.lease_token, until))

    def renewed(self, claimed: Claimed, until: datetime) -> None:
        for grant in self.seen[claimed.id].grants:
            if grant.token == claimed.lease_token and not grant.is_withdrawn:
                if grant.until <= self._now():
                    self._violated(f"{claimed.id} is renewed for {grant.holder} after its lease ran out")
                grant.until = max(grant.until, until)

    def given_up(self, claimed: Claimed) -> None:
        grants = self.seen[claimed.id].grants
        for grant in grants:
            if grant.token == claimed.lease_token:
                grant.is_given_up = True
            elif grant.token > claimed.lease_token and not grant.is_withdrawn:
                self._violated(f"{claimed.id} is written by token {claimed.lease_token} after {grant.token} was given")

    def ended(self, claimed: Claimed) -> None:
        self.given_up(claimed)
        self.seen[claimed.id].is_ended = True

    def started(self, holder: int, occurrence_id: UUID) -> Attempt:
        seen, now = self.seen[occurrence_id], self._now()
        self._check_instant(seen, occurrence_id, now)
        self._check_permission(seen, holder, occurrence_id, now)
        is_withdrawn = any(grant.is_withdrawn for grant in seen.grants if grant.holder == holder)
        attempt = Attempt(holder, occurrence_id, now, is_withdrawn)
        self._check_alone(seen, attempt, now)
        seen.open_attempts.append(attempt)
        seen.attempt_count += 1
        return attempt

    def arrived(self, occurrence_id: UUID) -> None:
        self.seen[occurrence_id].arrived_count += 1

    def told(self, attempt: Attempt) -> None:
        """The target's word that it has it came back."""
        self.seen[attempt.occurrence_id].told_to.add(attempt.holder)

    def finished(self, attempt: Attempt) -> None:
        self.seen[attempt.occurrence_id].open_attempts.remove(attempt)

    def acknowledged(self, key: ScheduleKey, what: str) -> None:
        self.quiet[key] = what

    def resumed(self, key: ScheduleKey) -> None:
        self.quiet.pop(key, None)

    def _violated(self, what: str) -> None:
        self.violations.append(what)

    def _check_instant(self, seen: Seen, occurrence_id: UUID, now: datetime) -> None:
        if seen.due_at is None:
            self._violated(f"{occurrence_id} is started and was never planned")
            return
        if now < seen.due_at - CLOCK_ERROR:
            self._violated(f"{occurrence_id} is started {seen.due_at - now} early")
        what = self.quiet.get(seen.key) if seen.key is not None else None
        if what is not None and (seen.kind == "SCHEDULED" or what == "delete"):
            self._violated(f"{occurrence_id} is started after the {what} was acknowledged")

    def _check_permission(self, seen: Seen, holder: int, occurrence_id: UUID, now: datetime) -> None:
        own = [grant for grant in seen.grants if grant.holder == holder]
        if not own:
            self._violated(f"{occurrence_id} is started by {holder}, who never had it")
            return
        if seen.is_ended and not any(grant.is_withdrawn for grant in own):
            self._violated(f"{occurrence_id} is started by {holder} after it ended")
        until = max(grant.until for grant in own)
        if until <= now:
            self._violated(f"{occurrence_id} is started by {holder} {now - until} after its lease ran out")

    def _check_alone(self, seen: Seen, attempt: Attempt, now: datetime) -> None:
        for other in seen.open_attempts:
            if other.holder == attempt.holder:
                self._violated(f"{attempt.occurrence_id} is started twice at a time by {attempt.holder}")
            is_taken_back = other.is_withdrawn or attempt.is_withdrawn
            if now - other.started_at < lease.MARGIN and not is_taken_back:
                self._violated(f"{attempt.occurrence_id} is started by {attempt.holder} while {other.holder} is at it")


def repeated_deliveries(witness: Witness) -> list[UUID]:
    """Return what arrived more than once though no lease of it was lost.

    A change of a schedule takes leases back; a holder that starts in the moments before it hears of that, and whoever
    has the row next, both deliver it.
    """
    return [
        id_
        for id_, seen in witness.seen.items()
        if seen.arrived_count > 1 and not any(grant.is_withdrawn for grant in seen.grants)
    ]


def false_completions(witness: Witness, ledger: dict[UUID, LedgerRow]) -> list[UUID]:
    """Return what the ledger calls COMPLETED and no target ever got."""
    return [id_ for id_, row in ledger.items() if row.status == "COMPLETED" and not witness.seen[id_].arrived_count]


def untold_deliveries(witness: Witness, ledger: dict[UUID, LedgerRow], vanished: set[int]) -> list[UUID]:
    """Return what a target confirmed to a dispatcher that did not vanish, and the ledger does not know."""
    return [id_ for id_, seen in witness.seen.items() if seen.told_to - vanished and id_ not in ledger]
