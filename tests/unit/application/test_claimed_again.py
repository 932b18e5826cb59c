"""An occurrence that is claimed again while an older lease of it is in the same dispatcher's hands."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.application.ports.due_queue import Claimed, DeliveredTogether, Ended, Postponed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.domain.outcome import ACKNOWLEDGED, Outcome, Refused, Unreachable
from scheduler_domain.domain.schedule import Retry
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements

DUE = datetime.now(UTC)  # recent: what is older than a day is not tried again
OCCURRENCE = UUID(int=2)
FOR_LONG = DatabaseClock().monotonic() + 3_600


class Queue:
    """A due queue that is away until told otherwise, and keeps what was recorded."""

    def __init__(self) -> None:
        self.is_away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.newest_lease = 1
        self.delivered: list[Claimed] = []
        self.ended: list[Ended] = []
        self.postponed: list[Postponed] = []

    async def record_delivered(self, deliveries: Sequence[DeliveredTogether]) -> int:
        await asyncio.sleep(0)
        await self.may_answer.wait()
        if self.is_away:
            raise ConnectionError
        claimed = [claimed for delivery in deliveries for claimed in delivery.claimed]
        written = [item for item in claimed if item.lease_token >= self.newest_lease]
        self.delivered += written
        return len(written)

    async def record_ended(self, ended: Sequence[Ended]) -> int:
        await asyncio.sleep(0)
        if self.is_away:
            raise ConnectionError
        self.ended += ended
        return len(ended)

    async def record_postponed(self, postponed: Sequence[Postponed]) -> int:
        self.postponed += postponed
        return len(postponed)

    async def claim(self, *_: object) -> Sequence[Claimed]:
        raise NotImplementedError

    async def renew(self, _: Sequence[Claimed]) -> Mapping[UUID, str]:
        raise NotImplementedError

    async def release(self, _: Sequence[Claimed]) -> None:
        raise NotImplementedError

    async def put_off(self, claimed: Sequence[Claimed], waits: Sequence[timedelta]) -> None:
        raise NotImplementedError


class Broker:
    """A broker that answers when it is let."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.may_answer = asyncio.Event()
        self.outcome: Outcome = ACKNOWLEDGED

    def prepare(self, delivery: Delivery) -> object:
        return delivery

    async def send(self, messages: Sequence[object], _: bytes) -> Sequence[Outcome]:
        self.sent += messages
        await self.may_answer.wait()
        return [self.outcome] * len(messages)


class Webhook:
    async def send(self, message: object, fired_at: bytes) -> Outcome:
        raise NotImplementedError


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    made = Broker()
    made.may_answer.set()
    yield made
    made.may_answer.set()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def outcomes(queue: Queue) -> RecordOutcomes:
    return RecordOutcomes(queue, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), UNTRACED)


@pytest.fixture
def deliver(broker: Broker, outcomes: RecordOutcomes) -> DeliverOccurrences:
    measurements = PrometheusMeasurements(CollectorRegistry())
    return DeliverOccurrences(
        {"NATS": broker}, Webhook(), outcomes, DatabaseClock(), measurements, UNTRACED, http_slots=1
    )


def missed(lease_token: int) -> Ended:
    return Ended(held(lease_token, "missed").claimed, "SKIPPED", "misfire-coalesced", 0, None, DUE, None, "EVENT")


def held(lease_token: int, message: str, occurrence: UUID = OCCURRENCE) -> HeldOccurrence:
    at = DUE.timestamp()
    row = ("acme", UUID(int=1), occurrence, "SCHEDULED", 1, DUE.timestamp(), at, at, lease_token, 0, False, False)
    claimed = Claimed(*row, "(0,1)", 1, "ACTIVE", None)
    return HeldOccurrence(claimed, message, "NATS", "EVENT", Retry(), None, fire_at=0.0, lease_ends=FOR_LONG)


async def attempted(
    deliver: DeliverOccurrences, broker: Broker, item: HeldOccurrence, *, is_under_way: bool
) -> "asyncio.Task[int]":
    """Start an attempt at it; return the sending, which has ended or waits until the broker may answer."""
    broker.may_answer.clear()
    deliver.hold([item])
    deliver.start_due()
    sending = asyncio.create_task(deliver.broker_step("NATS"))
    await asyncio.sleep(0)
    if not is_under_way:
        broker.may_answer.set()
        await sending
    return sending


async def test_what_was_not_started_is_dropped_for_what_was_claimed_now(
    deliver: DeliverOccurrences, broker: Broker
) -> None:
    deliver.hold([held(1, "as it was")])
    deliver.hold([held(2, "as it is")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    assert broker.sent == ["as it is"]


async def test_a_revocation_reaches_an_occurrence_however_often_it_was_claimed(
    deliver: DeliverOccurrences, broker: Broker
) -> None:
    deliver.hold([held(1, "as it was")])
    deliver.hold([held(2, "as it is")])
    deliver.let_go(deliver.open())
    deliver.start_due()
    assert deliver.open_count == 0
    assert broker.sent == []


async def test_what_was_started_is_not_started_again_and_its_outcome_goes_by_the_newer_lease(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue
) -> None:
    sending = await attempted(deliver, broker, held(1, "first"), is_under_way=True)
    deliver.hold([held(2, "second")])
    broker.may_answer.set()
    await sending
    deliver.start_due()
    await outcomes.step()
    assert broker.sent == ["first"]
    assert [claimed.lease_token for claimed in queue.delivered] == [2]
    assert deliver.open_count == 0


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_a_target_that_is_gone_is_that_of_the_revision_it_was_sent_by(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue, is_under_way: bool
) -> None:
    broker.outcome = Refused("gone", 410, disable=True)
    sending = await attempted(deliver, broker, held(1, "to the old address"), is_under_way=is_under_way)
    edited = held(2, "to the new address")
    edited.claimed.schedule_revision = 2
    deliver.hold([edited])
    broker.may_answer.set()
    await sending
    await outcomes.step()
    assert [(end.claimed.lease_token, end.disabled_revision) for end in queue.ended] == [(2, 1)]


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_what_a_newer_claim_would_end_unattempted_is_what_its_attempt_here_made_of_it(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue, is_under_way: bool
) -> None:
    sending = await attempted(deliver, broker, held(1, "first"), is_under_way=is_under_way)
    deliver.end_claimed([missed(2)])
    broker.may_answer.set()
    await sending
    await outcomes.step()
    assert [claimed.lease_token for claimed in queue.delivered] == [2]
    assert queue.ended == []
    assert deliver.open_count == 0


async def test_what_a_newer_claim_ends_is_dropped_where_it_was_only_held(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue
) -> None:
    deliver.hold([held(1, "as it was")])
    deliver.end_claimed([missed(2)])
    deliver.start_due()
    await outcomes.step()
    assert [(end.claimed.lease_token, end.status) for end in queue.ended] == [(2, "SKIPPED")]
    assert broker.sent == []
    assert deliver.open_count == 0


async def test_an_outcome_that_could_not_be_written_is_written_under_the_newer_lease_instead_of_a_second_delivery(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue
) -> None:
    deliver.hold([held(1, "first")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    queue.is_away = True
    with pytest.raises(ConnectionError):
        await outcomes.step()
    queue.is_away = False
    deliver.hold([held(2, "second")])
    await outcomes.step()
    assert [claimed.lease_token for claimed in queue.delivered] == [2]
    assert broker.sent == ["first"]
    assert deliver.open_count == 0


@pytest.mark.parametrize("outcome", [ACKNOWLEDGED, Refused("no"), Unreachable("no answer")])
async def test_an_outcome_of_before_a_replay_is_none_of_the_replay(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue, outcome: Outcome
) -> None:
    broker.outcome = outcome
    deliver.hold([held(1, "first")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    replayed = held(2, "replay")
    replayed.claimed = replace(replayed.claimed, requested_at=DUE)
    deliver.hold([replayed])
    assert [item.message for item in deliver.open()] == ["replay"]
    await outcomes.step()
    written = [*queue.delivered, *(item.claimed for item in (*queue.ended, *queue.postponed))]
    assert [claimed.lease_token for claimed in written] == [1], "which the fence refuses"


@pytest.mark.parametrize("is_away", [False, True], ids=["fenced", "cut off"])
async def test_an_outcome_that_is_just_being_written_is_written_under_the_newer_lease_and_not_delivered_again(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue, is_away: bool
) -> None:
    deliver.hold([held(1, "first")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    queue.may_answer.clear()
    writing = asyncio.create_task(outcomes.step())
    await asyncio.sleep(0)
    queue.newest_lease = 2
    deliver.hold([held(2, "second")])
    queue.is_away = is_away
    queue.may_answer.set()
    await asyncio.gather(writing, return_exceptions=True)
    queue.is_away = False
    await outcomes.step()
    assert [claimed.lease_token for claimed in queue.delivered] == [2]
    assert broker.sent == ["first"]
    assert (deliver.open_count, outcomes.open_count) == (0, 0)


async def test_a_failed_attempt_that_could_not_be_written_is_not_repeated_at_once(
    deliver: DeliverOccurrences, broker: Broker, outcomes: RecordOutcomes, queue: Queue
) -> None:
    broker.outcome = Unreachable("no answer")
    deliver.hold([held(1, "first")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    deliver.hold([held(2, "second")])
    await outcomes.step()
    assert [item.claimed.lease_token for item in queue.postponed] == [2]
    assert deliver.open_count == 0


async def test_an_outcome_that_came_back_unwritten_is_there_for_the_next_step_though_another_found_nothing(
    deliver: DeliverOccurrences, outcomes: RecordOutcomes, queue: Queue
) -> None:
    deliver.hold([held(1, "first")])
    deliver.start_due()
    await deliver.broker_step("NATS")
    queue.is_away = True
    first, second = await asyncio.gather(outcomes.step(), outcomes.step(), return_exceptions=True)
    assert isinstance(first, ConnectionError)
    assert second == []
    async with asyncio.timeout(1):
        await outcomes.available()


async def test_a_herd_is_moved_in_slices_and_sent_in_the_order_of_its_claim(
    deliver: DeliverOccurrences, broker: Broker
) -> None:
    deliver.hold([held(1, str(number), UUID(int=number)) for number in range(11_000)])
    assert [deliver.start_due() for _ in range(3)] == [0, 0, None]
    while len(broker.sent) < 11_000:
        await deliver.broker_step("NATS")
    assert broker.sent == [str(number) for number in range(11_000)]


async def test_a_burst_is_over_when_all_but_one_send_are_answered(deliver: DeliverOccurrences, broker: Broker) -> None:
    assert deliver.is_calm
    assert not deliver.is_bursting
    broker.may_answer.clear()
    deliver.hold([held(1, str(number), UUID(int=number)) for number in range(2_500)])
    deliver.start_due()
    assert deliver.is_bursting
    sends = [asyncio.create_task(deliver.broker_step("NATS")) for _ in range(3)]
    while len(broker.sent) < 2_500:
        await asyncio.sleep(0)
    assert not deliver.is_bursting
    assert not deliver.is_calm, "recording would delay the last acknowledgements"
    broker.may_answer.set()
    await asyncio.gather(*sends)
    assert deliver.is_calm
