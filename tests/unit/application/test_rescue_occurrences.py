"""Leases are renewed in time, however short they are and whenever they were claimed; heartbeats wait for nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.deliver_occurrence import DeliverOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.ports.dispatchers import Revocation
from scheduler_domain.application.ports.due_queue import Claimed
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.application.record_outcomes import RecordOutcomes
from scheduler_domain.application.rescue_occurrences import RescueOccurrences
from scheduler_domain.domain import lease
from scheduler_domain.domain.misfire import Absence
from scheduler_domain.domain.schedule import Retry
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.set_clock import SetClock

IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)
LATE_BY = 0.9  # what a look may be late by: the loop fires a herd, or the database was slow


class Queue:
    """A due queue that renews whatever it is asked to."""

    async def renew(self, claimed: Sequence[Claimed]) -> dict[UUID, str]:
        return {item.id: item.place for item in claimed}


class Dispatchers:
    """One revocation that is new, and what was said in heartbeats."""

    def __init__(self) -> None:
        self.beats: list[Sequence[int]] = []

    async def recent_revocations(self) -> Sequence[Revocation]:
        return [Revocation(7, "acme", UUID(int=1), None)]

    async def beat(self, _: int, obeyed: Sequence[int]) -> Absence | None:
        self.beats.append(obeyed)
        return None


def held(lease_ends: float) -> HeldOccurrence:
    at = IN_AN_HOUR.timestamp()
    row = ("acme", UUID(int=1), UUID(int=2), "SCHEDULED", 1, IN_AN_HOUR.timestamp(), at, at, 1, 0, False, False)
    claimed = Claimed(*row, "(0,1)", 1, "ACTIVE", None)
    return HeldOccurrence(claimed, None, "NATS", "EVENT", Retry(), None, fire_at=at, lease_ends=lease_ends)


@pytest.mark.parametrize("length", [lease.SHORTEST, timedelta(seconds=5), timedelta(seconds=6), lease.LENGTH])
@pytest.mark.parametrize("tenths", range(1, 20))
async def test_what_waits_is_trusted_at_each_look_whenever_it_was_claimed(length: timedelta, tenths: int) -> None:
    clock = SetClock(IN_AN_HOUR - timedelta(hours=1))
    measurements = PrometheusMeasurements(CollectorRegistry())
    outcomes = RecordOutcomes(Queue(), clock, measurements, UNTRACED)
    deliver = DeliverOccurrences({}, None, outcomes, clock, measurements, UNTRACED, http_slots=1)
    rescue = RescueOccurrences(Queue(), None, 1, deliver, clock, asyncio.Lock(), length)
    item = held(lease_ends=(length - lease.MARGIN).total_seconds())
    deliver.hold([item])
    clock.seconds = tenths / 10
    for _ in range(30):
        assert item.lease_ends > clock.seconds
        await rescue.renew()
        clock.seconds += lease.LOOKED_AT_EVERY.total_seconds() + LATE_BY


async def test_who_waits_for_a_long_claim_to_end_says_so_and_lives_meanwhile() -> None:
    clock, dispatchers, claiming = SetClock(IN_AN_HOUR), Dispatchers(), asyncio.Lock()
    measurements = PrometheusMeasurements(CollectorRegistry())
    outcomes = RecordOutcomes(Queue(), clock, measurements, UNTRACED)
    deliver = DeliverOccurrences({}, None, outcomes, clock, measurements, UNTRACED, http_slots=1)
    rescue = RescueOccurrences(Queue(), dispatchers, 1, deliver, clock, claiming)
    async with claiming:
        obeying = asyncio.create_task(rescue.obey())
        while not rescue.is_asking:
            await asyncio.sleep(0)
        await rescue.beat()
        assert dispatchers.beats == [[]], "alive, and has not let go yet"
    await obeying
    assert dispatchers.beats == [[], [7]]
    assert not rescue.is_asking
