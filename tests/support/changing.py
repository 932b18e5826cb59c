"""What changes schedules as the API does, and what holds their occurrences as a dispatcher does, step by step."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from scheduler_domain.application.accept_schedule import AcceptSchedule
from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import ChangeSchedule, Pause, Precondition
from scheduler_domain.application.claim_occurrences import ClaimOccurrences
from scheduler_domain.application.held_occurrence import HeldOccurrence
from scheduler_domain.application.plan_anew import Planner
from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.application.ports.due_queue import Ended
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.roles import Caller, Role
from scheduler_domain.domain.schedule import CronTrigger, Schedule, Trigger
from scheduler_domain.domain.validation import TargetPolicy
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.schedules import PostgresSchedules
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition
from tests.support.waiting import eventually

CALLER = Caller("acme", "ada", frozenset({Role.EDITOR}))
EACH_SECOND = CronTrigger("* * * * * *")
LOOKAHEAD = timedelta(seconds=6)
ANY = Precondition()
MOST = 100


async def walked(claim: ClaimOccurrences) -> tuple[list[HeldOccurrence], list[Ended]]:
    """Return what one walk brings, its batches put together."""
    held: list[HeldOccurrence] = []
    ended: list[Ended] = []
    async for batch in claim.walk(MOST, lambda: True):
        held += batch[0]
        ended += batch[1]
    return held, ended


class Changes:
    """Schedules as the API accepts and changes them."""

    def __init__(self, schedules: PostgresSchedules) -> None:
        policy = TargetPolicy()
        self.schedules = schedules
        self.accept = AcceptSchedule(schedules, DatabaseClock(), lambda: os.urandom(10), policy, LOOKAHEAD, StartTags())
        self.change = ChangeSchedule(schedules, policy, Planner(LOOKAHEAD, StartTags()))

    async def created(self, trigger: Trigger = EACH_SECOND, **fields: Any) -> Schedule:
        """Return a schedule made early in a second, so that a test's first steps are over before the next."""
        await eventually(lambda: datetime.now(UTC).microsecond < 300_000, within=2)
        return await self.accept(CALLER, definition(trigger, **fields), once())

    async def retriggered(self, schedule: Schedule, trigger: Trigger, **fields: Any) -> Schedule:
        return await self.change.edit(CALLER, schedule.id, ANY, lambda _: definition(trigger, **fields))

    async def paused(self, schedule: Schedule) -> Schedule:
        return await self.change.pause(CALLER, schedule.id, ANY, Pause(), once())

    async def resumed(self, schedule: Schedule) -> Schedule:
        return await self.change.resume(CALLER, schedule.id, ANY, False, once())


class Dispatcher:
    """What a dispatcher does with the queue, step by step. It has no row, so nobody waits for it to let go."""

    def __init__(self, pool: asyncpg.Pool, lease: timedelta) -> None:
        self.queue = PostgresDueQueue(pool, dispatcher_id=7, lease_length=lease)
        self.claim = ClaimOccurrences(
            self.queue, {}, DatabaseClock(), PrometheusMeasurements(CollectorRegistry()), UNTRACED, lease
        )

    async def held(self) -> list[HeldOccurrence]:
        """Claim what is due within seconds, end what is to end, and return the rest."""
        held, ended = await walked(self.claim)
        await self.claim.let_go()
        await self.queue.record_ended(ended)
        return held

    async def let_go(self, held: list[HeldOccurrence]) -> None:
        await self.queue.release([item.claimed for item in held])


def once() -> Once[Schedule]:
    return Once(lambda _: Answer(200, {}, ""))


def delivered(item: HeldOccurrence, delay: timedelta | None = None) -> Ended:
    """Return its end, which moves a chain on by the delay."""
    now = datetime.now(UTC)
    next_due_at = None if delay is None else now + delay
    return Ended(item.claimed, "COMPLETED", None, 1, now, now, 3, "EVENT", next_due_at=next_due_at)


async def until(at: datetime) -> None:
    await eventually(lambda: datetime.now(UTC) > at, within=5)
