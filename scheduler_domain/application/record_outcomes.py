"""Record: gather how attempts ended and write them in batches, fenced by their leases.

An outcome is only ever written after the target had its say. What cannot be written now (the database is away) is
kept and tried again; the fence decides whether it still counts.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar, assert_never
from uuid import UUID

from msgspec.structs import replace

from scheduler_domain.application.batch_size import BatchSize
from scheduler_domain.application.held_occurrence import HeldOccurrence, next_due_at
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, DueQueue, Ended, Postponed
from scheduler_domain.application.ports.measurements import Measurements
from scheduler_domain.application.ports.tracing import Tracer
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.domain.outcome import Accepted, Delivered, Outcome, Refused, Unreachable
from scheduler_domain.domain.retry import next_attempt_at

ROWS_PER_WRITE = 1_000
Waiting = TypeVar("Waiting", Ended, Postponed)
Leased = TypeVar("Leased", HeldOccurrence, Ended)
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=1)
_LONGEST_DURATION_MS = 2**31 - 1  # what the ledger holds: 24 days; only a wait for a callback can take longer


class RecordOutcomes:
    """The outcomes of one dispatcher on their way to the ledger. `open_count` is what is not written yet."""

    def __init__(self, queue: DueQueue, clock: Clock, measurements: Measurements, tracer: Tracer) -> None:
        self._queue = queue
        self._size = BatchSize(ROWS_PER_WRITE, clock)
        self._measurements = measurements
        self._tracer = tracer
        self._delivered: list[DeliveredTogether] = []
        self._delivered_count = 0
        self._ended: list[Ended] = []
        self._postponed: list[Postponed] = []
        self._being_written_count = 0
        self._ends_being_written: list[tuple[Sequence[DeliveredTogether], Sequence[Ended]]] = []
        self._is_available = asyncio.Event()

    @property
    def open_count(self) -> int:
        return self._delivered_count + len(self._ended) + len(self._postponed) + self._being_written_count

    def add(
        self, held: Sequence[HeldOccurrence], outcomes: Sequence[Outcome], fired_at: datetime, seconds: float
    ) -> None:
        """Take the outcomes of attempts that were made together; `seconds` is how long they took."""
        ended_at = fired_at + timedelta(seconds=seconds)
        duration_ms = min(round(seconds * 1000), _LONGEST_DURATION_MS)
        simple: list[HeldOccurrence] = []
        for item, outcome in zip(held, outcomes, strict=True):
            if type(outcome) is Delivered and outcome is outcomes[0] and item.is_simple:
                simple.append(item)
                continue
            decided = decide(item, outcome, fired_at, ended_at, duration_ms, random.random())  # noqa: S311 - jitter
            if isinstance(decided, Ended):
                self._ended.append(decided)
            else:
                self._postponed.append(decided)
        if simple:
            self._add_delivered(simple, outcomes[0], fired_at, ended_at, duration_ms)
        self._is_available.set()

    def _add_delivered(
        self,
        simple: Sequence[HeldOccurrence],
        outcome: Outcome,
        fired_at: datetime,
        ended_at: datetime,
        duration_ms: int,
    ) -> None:
        assert isinstance(outcome, Delivered)
        claimed, kinds = [item.claimed for item in simple], [item.target_kind for item in simple]
        answer = outcome.status_code, outcome.response_excerpt
        self._delivered.append(DeliveredTogether(claimed, fired_at, ended_at, duration_ms, kinds, *answer))
        self._delivered_count += len(simple)

    def add_ended(self, ended: Sequence[Ended]) -> None:
        """Take occurrences that ended without an attempt."""
        self._ended.extend(ended)
        if ended:
            self._is_available.set()

    def without_waiting(self, leased: Iterable[Leased]) -> list[Leased]:
        """Return what has no attempt's outcome here; such outcomes take over the newer lease and are written.

        Only a lease that is not the first can be of an occurrence that was in our hands before.
        """
        leased = list(leased)
        again = {item.claimed.id: item.claimed for item in leased if item.claimed.lease_token > 1}
        if not again or not self.open_count:
            return leased
        known = {identity for delivery in self._delivered for identity in delivery.renew(again)}
        known |= _renewed(self._ended, again) | _renewed(self._postponed, again)
        known |= self._written_again(again)
        return [item for item in leased if item.claimed.id not in known]

    def _written_again(self, leases: Mapping[UUID, Claimed]) -> set[UUID]:
        """Take the ends that are just being written under older leases once more; return their occurrences.

        An end takes its row from the queue, so a row that could be claimed anew shows that the older lease comes too
        late and is fenced. Not so of a retry, which may be claimed anew because it was written, nor of what ended and
        was replayed while the answer was on its way.
        """
        parts = [delivery.under(leases) for written, _ in self._ends_being_written for delivery in written]
        delivered = [delivery for delivery in parts if delivery.claimed]
        written = [end for _, written in self._ends_being_written for end in written if end.fired_at is not None]
        ended = [replace(end, claimed=leases[end.claimed.id]) for end in written if end.claimed.is_again(leases)]
        self._delivered += delivered
        self._delivered_count += _count(delivered)
        self._ended += ended
        if delivered or ended:
            self._is_available.set()
        return {item.id for delivery in delivered for item in delivery.claimed} | {end.claimed.id for end in ended}

    async def available(self) -> None:
        """Wait until there is something to write."""
        await self._is_available.wait()

    async def step(self) -> list[Ended]:
        """Write one batch; return what ended, but for what nothing else depends on.

        What an error kept from being written stays for the next step.
        """
        written: list[Ended] = []
        delivered = self._next_delivered()
        rows = self._size.rows
        ended, self._ended = self._ended[:rows], self._ended[rows:]
        postponed, self._postponed = self._postponed[:rows], self._postponed[rows:]
        taken = _count(delivered) + len(ended) + len(postponed)
        self._being_written_count += taken
        ends = delivered, ended
        self._ends_being_written.append(ends)
        try:
            with self._tracer.step("record") as traced:
                traced.handled(taken)
                if delivered:
                    await self._write(self._queue.record_delivered(delivered), _count(delivered))
                    self._count_delivered(delivered)
                    delivered = []
                if ended:
                    await self._write(self._queue.record_ended(ended), len(ended))
                    self._count_ended(ended)
                    written, ended = ended, []
                if postponed:
                    await self._write(self._queue.record_postponed(postponed), len(postponed))
                    postponed = []
        finally:
            self._delivered[:0] = delivered
            self._delivered_count += _count(delivered)
            self._ended[:0] = ended
            self._postponed[:0] = postponed
            self._being_written_count -= taken
            self._ends_being_written.remove(ends)
            if self._delivered or self._ended or self._postponed:
                self._is_available.set()  # another step may have found nothing, and said so, while these were away
            else:
                self._is_available.clear()
        return written

    def _next_delivered(self) -> list[DeliveredTogether]:
        """Take the deliveries of one write: whole ones, or where not even the first fits, as much of it as does."""
        taken = rows = 0
        for delivery in self._delivered:
            rows += len(delivery.claimed)
            if rows > self._size.rows:
                break
            taken += 1
        if self._delivered and not taken:
            self._delivered[:1] = self._delivered[0].parted(self._size.rows)
            taken = 1
        delivered, self._delivered = self._delivered[:taken], self._delivered[taken:]
        self._delivered_count -= _count(delivered)
        return delivered

    async def _write(self, writing: Awaitable[int], rows: int) -> None:
        with self._size.measured() as done:
            written = await writing
            done(rows)
        if written < rows:
            self._measurements.fenced(rows - written)

    def _count_delivered(self, delivered: Sequence[DeliveredTogether]) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for delivery in delivered:
            counts.update(zip(delivery.target_kinds, (item.kind for item in delivery.claimed), strict=True))
        for (target, kind), count in counts.items():
            self._measurements.ended(Status.COMPLETED, target, kind, count)

    def _count_ended(self, ended: Sequence[Ended]) -> None:
        counts = Counter((item.status, item.target_kind, item.claimed.kind) for item in ended)
        for (status, target, kind), count in counts.items():
            self._measurements.ended(status, target, kind, count)


def _count(delivered: Iterable[DeliveredTogether]) -> int:
    return sum(len(delivery.claimed) for delivery in delivered)


def _renewed(waiting: list[Waiting], leases: Mapping[UUID, Claimed]) -> set[UUID]:
    """Put outcomes of attempts under newer leases, in place; return their occurrences."""
    renewed: set[UUID] = set()
    for position, outcome in enumerate(waiting):
        if outcome.fired_at is not None and outcome.claimed.is_again(leases):
            waiting[position] = replace(outcome, claimed=leases[outcome.claimed.id])
            renewed.add(outcome.claimed.id)
    return renewed


def decide(
    held: HeldOccurrence,
    outcome: Outcome,
    fired_at: datetime,
    ended_at: datetime,
    duration_ms: int,
    jitter: float,
) -> Ended | Postponed:
    """Return what an attempt's outcome means for its occurrence; `jitter` in [0, 1) spreads the retries."""
    claimed = held.claimed
    attempt = claimed.attempt_count + 1
    match outcome:
        case Delivered():
            return Ended(
                claimed,
                Status.COMPLETED,
                None,
                attempt,
                fired_at,
                ended_at,
                duration_ms,
                held.target_kind,
                status_code=outcome.status_code,
                response_excerpt=outcome.response_excerpt,
                next_due_at=next_due_at(ended_at, held.chain_delay_sec),
                frees_line=held.frees_line,
            )
        case Accepted():
            return _awaiting(held, outcome, fired_at, ended_at, duration_ms)
        case Refused():
            return _failed(held, outcome, "refused", fired_at, ended_at, duration_ms)
        case Unreachable(counts=False):
            retry_at = ended_at + _wait_uncounted(claimed.retried_from, ended_at, jitter)
            return _postponed(held, outcome, fired_at, duration_ms, retry_at)
        case Unreachable():
            retry = attempt - claimed.earlier_attempt_count
            next_at = next_attempt_at(held.retry, retry, claimed.retried_from, ended_at, jitter, outcome.retry_after)
            if next_at is None:
                return _failed(held, outcome, "retries-exhausted", fired_at, ended_at, duration_ms)
            return _postponed(held, outcome, fired_at, duration_ms, next_at)
        case _:
            assert_never(outcome)


def _wait_uncounted(due_at: datetime, now: datetime, jitter: float) -> timedelta:
    """Wait in proportion to how long it has waited: a short outage is left quickly, a long one is not hammered."""
    bound = min(max((now - due_at) / 2, _SHORTEST_WAIT), _LONGEST_WAIT)
    return bound * (0.5 + jitter / 2)


def _postponed(
    held: HeldOccurrence, outcome: Unreachable, fired_at: datetime, duration_ms: int, retry_at: datetime
) -> Postponed:
    attempt_count = held.claimed.attempt_count + (1 if outcome.counts else 0)
    return Postponed(
        held.claimed,
        attempt_count,
        fired_at,
        duration_ms,
        retry_at.astimezone(UTC),
        outcome.error,
        outcome.status_code,
        outcome.response_excerpt,
        outcome.counts,
    )


def _awaiting(
    held: HeldOccurrence, outcome: Accepted, fired_at: datetime, accepted_at: datetime, duration_ms: int
) -> Postponed:
    """Let the attempt go on: it counts once its callback has come, or has not come in time."""
    return Postponed(
        held.claimed,
        held.claimed.attempt_count,
        fired_at,
        duration_ms,
        (accepted_at + outcome.callback_within).astimezone(UTC),
        "waiting for the callback",
        outcome.status_code,
        None,
        counts=False,
        awaits=True,
    )


def _failed(
    held: HeldOccurrence,
    outcome: Refused | Unreachable,
    reason: str,
    fired_at: datetime,
    ended_at: datetime,
    duration_ms: int,
) -> Ended:
    return Ended(
        held.claimed,
        Status.FAILED,
        reason,
        held.claimed.attempt_count + 1,
        fired_at,
        ended_at,
        duration_ms,
        held.target_kind,
        status_code=outcome.status_code,
        error=outcome.error,
        response_excerpt=outcome.response_excerpt,
        next_due_at=next_due_at(ended_at, held.chain_delay_sec),
        disabled_revision=(
            held.claimed.schedule_revision if isinstance(outcome, Refused) and outcome.disable else None
        ),
        frees_line=held.frees_line,
    )
