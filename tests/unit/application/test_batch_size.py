"""A database that is slow by the row is asked for fewer rows at once, and nothing that it cut short is lost."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.batch_size import FEWEST, SLOW_SEC, BatchSize
from scheduler_domain.application.claim_occurrences import ROWS_PER_CLAIM, ClaimOccurrences
from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.record_outcomes import ROWS_PER_WRITE, RecordOutcomes
from scheduler_domain.application.rescue_occurrences import RescueOccurrences
from scheduler_domain.domain.outcome import ACKNOWLEDGED
from scheduler_domain.domain.retry import Retry
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.set_clock import SetClock

DUE = datetime(2026, 11, 23, 9, tzinfo=UTC)
PATIENCE = 5.0
SLOW_BY_THE_ROW = 0.01


class SlowQueue:
    """A due queue that takes its time for each row, and is cut short when its patience is over."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.seconds_per_row = SLOW_BY_THE_ROW
        self.asked_for: list[int] = []
        self.recorded: list[UUID] = []

    def _work(self, rows: int) -> None:
        self.asked_for.append(rows)
        self.clock.seconds += min(rows * self.seconds_per_row, PATIENCE)
        if rows * self.seconds_per_row > PATIENCE:
            raise TimeoutError

    async def claim(self, limit: int, *_: object) -> Sequence[Claimed]:
        self._work(limit)
        return []  # which is no reason to ask for more

    async def renew(self, claimed: Sequence[Claimed]) -> Mapping[UUID, str]:
        self._work(len(claimed))
        return {item.id: item.place for item in claimed}

    async def record_delivered(self, deliveries: Sequence[DeliveredTogether]) -> int:
        claimed = [item for delivery in deliveries for item in delivery.claimed]
        self._work(len(claimed))
        self.recorded += [item.id for item in claimed]
        return len(claimed)


def held(number: int) -> HeldOccurrence:
    at = DUE.timestamp()
    row = ("acme", UUID(int=1), UUID(int=number), "SCHEDULED", 1, at, at, at, 1, 0, False, False)
    claimed = Claimed(*row, "(0,1)", 1, "ACTIVE", None)
    return HeldOccurrence(claimed, None, "NATS", "EVENT", Retry(), None, fire_at=at, lease_ends=0.0)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(DUE)


@pytest.fixture
def queue(clock: SetClock) -> SlowQueue:
    return SlowQueue(clock)


@pytest.fixture
def measurements() -> PrometheusMeasurements:
    return PrometheusMeasurements(CollectorRegistry())


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        ([SLOW_SEC + 1] * 5, [500, 250, 125, FEWEST, FEWEST]),
        ([PATIENCE, 0.1, 0.1, 0.1], [500, 1_000, 1_000, 1_000]),
        ([PATIENCE, SLOW_SEC * 0.75, SLOW_SEC], [500, 500, 500]),
    ],
)
def test_a_size_follows_how_long_statements_take(clock: SetClock, seconds: list[float], sizes: list[int]) -> None:
    size, seen = BatchSize(1_000, clock), []
    for each in seconds:
        with size.measured() as done:
            clock.seconds += each
            done(size.rows)
        seen.append(size.rows)
    assert seen == sizes


def test_few_rows_done_quickly_tell_nothing_of_many(clock: SetClock) -> None:
    size = BatchSize(1_000, clock)
    with size.measured():
        clock.seconds += PATIENCE
    for rows, following in ((0, 500), (249, 500), (250, 1_000)):
        with size.measured() as done:
            done(rows)
        assert size.rows == following


@pytest.mark.parametrize(("seconds", "rows"), [(PATIENCE, 250), (0.0, 500)])
def test_a_failure_makes_it_smaller_if_it_took_long_and_never_larger(
    clock: SetClock, seconds: float, rows: int
) -> None:
    size = BatchSize(1_000, clock)
    with size.measured():
        clock.seconds += PATIENCE
    with pytest.raises(ConnectionError):
        _fail_after(seconds, size, clock)
    assert size.rows == rows


def _fail_after(seconds: float, size: BatchSize, clock: SetClock) -> None:
    with size.measured():
        clock.seconds += seconds
        raise ConnectionError


async def test_claims_ask_for_fewer_rows_until_they_are_answered_in_time(
    clock: SetClock, queue: SlowQueue, measurements: PrometheusMeasurements
) -> None:
    claim = ClaimOccurrences(queue, {}, clock, measurements, UNTRACED)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await anext(claim.walk(ROWS_PER_CLAIM, lambda: True))
        queue.seconds_per_row = SLOW_BY_THE_ROW * 2
    queue.seconds_per_row = 0.0
    for _ in range(3):
        await anext(claim.walk(ROWS_PER_CLAIM, lambda: True), None)
    assert queue.asked_for == [1_000, 500, 250, 250, 250]


async def test_records_are_written_in_parts_and_each_once(
    clock: SetClock, queue: SlowQueue, measurements: PrometheusMeasurements
) -> None:
    outcomes = RecordOutcomes(queue, clock, measurements, UNTRACED)
    items = [held(number) for number in range(ROWS_PER_WRITE)]
    outcomes.add(items, [ACKNOWLEDGED] * len(items), DUE, 0.01)
    with pytest.raises(TimeoutError):
        await outcomes.step()
    assert outcomes.open_count == len(items)
    while outcomes.open_count:
        await outcomes.step()
    assert queue.recorded == [item.claimed.id for item in items]
    assert queue.asked_for == [1_000, 500, 250, 250]


async def test_leases_are_renewed_in_parts(
    clock: SetClock, queue: SlowQueue, measurements: PrometheusMeasurements
) -> None:
    outcomes = RecordOutcomes(queue, clock, measurements, UNTRACED)
    deliver = DeliverOccurrences({}, None, outcomes, clock, measurements, UNTRACED, http_slots=1)
    rescue = RescueOccurrences(queue, None, 1, deliver, clock, asyncio.Lock())
    deliver.hold([held(number) for number in range(1_000)])
    with pytest.raises(TimeoutError):
        await rescue.renew()
    await rescue.renew()
    assert queue.asked_for == [1_000, 500, 250, 250]
    assert all(item.lease_ends > clock.seconds for item in deliver.open())
