"""What tenants do: schedules of all kinds of trigger, and what becomes of each, step by step.

The history that this leaves is of what was committed, told by the answers and by what is stored; it is what
`expectation` computes from.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import Pause, Precondition
from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.domain.errors import InvalidField, Unavailable
from scheduler_domain.domain.roles import Caller, Role
from scheduler_domain.domain.schedule import (
    CronTrigger,
    FixedDelayTrigger,
    OneShotTrigger,
    Retry,
    RruleTrigger,
    Schedule,
    ScheduleDefinition,
    ScheduleState,
    Trigger,
)
from scheduler_domain.domain.target import EventTarget, HttpRequest, HttpTarget, Target
from tests.simulation.installation import Api, Installation
from tests.simulation.memory.tables import ScheduleKey

ANY = Precondition()
_UNANSWERED = (ConnectionError, Unavailable)
"""What was asked may have been done, or not, or done and not confirmed by every dispatcher in time."""
_PATIENT = Retry(max_attempts=4, initial_delay_sec=0.5, factor=1.5, max_delay_sec=2)
_TARGETS: tuple[Target, ...] = (EventTarget("ticks"), HttpTarget(HttpRequest("https://receiver.example/ticks")))


def unanswered(_: object) -> Answer:
    return Answer(200, {}, "")


ONCE: Once[Any] = Once(unanswered)


@dataclass
class Window:
    """A stretch of time in which a rule is in force; `until` is None while it still is."""

    rule: ScheduleDefinition
    created_at: datetime
    from_: datetime
    until: datetime | None = None


@dataclass
class History:
    """What a schedule's owner did to it. `told_by` is when the newest change was acknowledged."""

    key: ScheduleKey
    windows: list[Window] = field(default_factory=list)
    changed_at: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Of each change that ended a window: when it was made, and when that was acknowledged or given up."""
    manual: set[UUID] = field(default_factory=set)
    is_deleted: bool = False

    def close(self, at: datetime, told_at: datetime, planned_until: datetime | None) -> None:
        """End the window at a change. What was due before it and not planned yet, nobody plans any more."""
        unplanned_from = at if planned_until is None else min(at, planned_until)
        if self.windows and self.windows[-1].until is None:
            self.windows[-1].until = unplanned_from
        self.changed_at.append((unplanned_from, told_at))


class Tenant:
    """Makes one schedule and looks after it for a while."""

    def __init__(self, number: int, installation: Installation, api: Api, chance: Random, seconds: float) -> None:
        self._installation = installation
        self._api = api
        self._chance = chance
        self._ends_at = installation.now() + timedelta(seconds=seconds)
        self._caller = Caller(("acme", "umbrella")[number % 2], "ada", frozenset({Role.ADMIN}))
        self._name = f"schedule {number}"
        self.history: History | None = None

    async def live(self) -> None:
        await asyncio.sleep(self._chance.random())
        schedule = await self._create()
        while schedule is not None and self._installation.now() < self._ends_at:
            await asyncio.sleep(self._chance.random() * 3)
            schedule = await self._do_something(schedule)

    async def _create(self) -> Schedule | None:
        definition = self._definition()
        try:
            schedule = await self._api.accept(self._caller, definition, ONCE)
        except _UNANSWERED:
            return await self._created_unheard(definition)
        self._began(schedule)
        self._note(f"created: {msgspec.json.encode(definition.trigger).decode()}")
        return schedule

    async def _created_unheard(self, definition: ScheduleDefinition) -> Schedule | None:
        """A creation that was not answered may have happened: then the schedule lives on by itself."""
        for stored in self._installation.tables.schedules.values():
            if stored.schedule.definition == definition:
                self._began(stored.schedule)
                self._note("created, unheard")
        return None

    def _began(self, schedule: Schedule) -> None:
        self.history = History(ScheduleKey(schedule.tenant_id, schedule.id))
        window = Window(schedule.definition, schedule.created_at, schedule.created_at)
        self.history.windows.append(window)

    async def _do_something(self, schedule: Schedule) -> Schedule | None:
        deed = self._chance.choices(
            (self._pause_and_resume, self._rename, self._retime, self._trigger, self._delete, self._rest),
            weights=(3, 2, 1, 2, 0.5, 3),
        )[0]
        return await deed(schedule)

    async def _rest(self, schedule: Schedule) -> Schedule | None:
        return schedule

    async def _pause_and_resume(self, schedule: Schedule) -> Schedule | None:
        assert self.history is not None
        before = self._changed_at()
        try:
            paused = await self._api.change.pause(self._caller, schedule.id, ANY, Pause(), ONCE)
        except _UNANSWERED:
            self._note("the answer to a pause is lost")
            if self._changed_at() != before:
                self._close()
            return None
        if paused.state != ScheduleState.PAUSED:
            return None  # it was disabled meanwhile, and stays so
        self._close()
        self._installation.witness.acknowledged(self.history.key, "pause")
        self._note("paused")
        await asyncio.sleep(self._chance.random() * 3)
        return await self._resume(paused)

    async def _resume(self, schedule: Schedule) -> Schedule | None:
        assert self.history is not None
        catch_up = self._chance.random() < 0.5
        before = paused_at = self._changed_at()
        self._installation.witness.resumed(self.history.key)
        try:
            resumed = await self._api.change.resume(self._caller, schedule.id, ANY, catch_up, ONCE)
        except _UNANSWERED:
            self._note("the answer to a resume is lost")
            if self._changed_at() != before:
                self._open_again(schedule.definition, paused_at if catch_up else self._changed_at())
            return None
        self._open_again(resumed.definition, paused_at if catch_up else resumed.updated_at)
        self._note("resumed, catching up" if catch_up else "resumed")
        return resumed

    def _open_again(self, definition: ScheduleDefinition, from_: datetime) -> None:
        assert self.history is not None
        created_at = self.history.windows[0].created_at
        self.history.windows.append(Window(definition, created_at, from_))

    async def _rename(self, schedule: Schedule) -> Schedule | None:
        """An edit that plans nothing anew: what is queued goes on by the new revision."""
        payload = {"renamed": self._chance.randrange(1_000_000)}
        try:
            renamed = await self._api.change.edit(
                self._caller, schedule.id, ANY, lambda definition: replace(definition, payload=payload)
            )
        except _UNANSWERED:
            self._note("the answer to an edit is lost")
            return None
        self._note("edited in what it says")
        return renamed

    async def _retime(self, schedule: Schedule) -> Schedule | None:
        assert self.history is not None
        if isinstance(schedule.definition.trigger, OneShotTrigger):
            return schedule
        trigger, before = self._recurring(), self._changed_at()
        definition = replace(schedule.definition, trigger=trigger)
        try:
            edited = await self._api.change.edit(self._caller, schedule.id, ANY, lambda _: definition)
        except _UNANSWERED:
            self._note("the answer to an edit is lost")
            if self._changed_at() != before:
                self._close()
                self._open_again(definition, self._changed_at())
            return None
        except InvalidField:
            return schedule  # nothing would be left to fire
        if self._changed_at() == before:
            return edited  # it has fired so already
        self._close()
        self._open_again(definition, edited.updated_at)
        self._note(f"edited in when it fires: {msgspec.json.encode(trigger).decode()}")
        return edited

    async def _trigger(self, schedule: Schedule) -> Schedule | None:
        assert self.history is not None
        try:
            occurrence = await self._api.trigger(self._caller, schedule.id, ONCE)
        except _UNANSWERED:
            self._note("the answer to a run by hand is lost")
            return schedule
        self.history.manual.add(occurrence.id)
        self._note("run by hand")
        return schedule

    async def _delete(self, schedule: Schedule) -> None:
        assert self.history is not None
        try:
            await self._api.change.delete(self._caller, schedule.id, ANY)
        except _UNANSWERED:
            self._note("the answer to a deletion is lost")
            if self.history.key in self._installation.tables.schedules:
                return
        else:
            self._installation.witness.acknowledged(self.history.key, "delete")
            self._note("deleted")
        self.history.is_deleted = True
        self._close()

    def _definition(self) -> ScheduleDefinition:
        kind = self._chance.random()
        trigger: Trigger
        if kind < 0.15:
            at = self._installation.now() + timedelta(seconds=0.5 + self._chance.random() * 6)
            trigger = OneShotTrigger(at.isoformat())
        else:
            trigger = self._recurring()
        return ScheduleDefinition(
            name=self._name,
            trigger=trigger,
            target=self._chance.choice(_TARGETS),
            payload={"drawn": self._chance.randrange(1_000_000)},
            end_at=self._ends_at + timedelta(microseconds=500),
            retry=_PATIENT,
            jitter_sec=self._chance.choice((0, 0, 0, 1)),
        )

    def _recurring(self) -> Trigger:
        every = self._chance.choice((1, 2, 3))
        match self._chance.randrange(4):
            case 0:
                return CronTrigger(f"*/{every} * * * * *")
            case 1:
                return RruleTrigger(f"FREQ=SECONDLY;INTERVAL={every}", "2026-11-22T08:00:00")
            case 2:
                return FixedDelayTrigger(every, "SCHEDULE")
            case _:
                return FixedDelayTrigger(every, "COMPLETION")

    def _close(self) -> None:
        assert self.history is not None
        witness, key = self._installation.witness, self.history.key
        self.history.close(witness.changed_at[key], self._installation.now(), witness.planned_until[key])

    def _changed_at(self) -> datetime | None:
        """When the newest change of the schedule was committed, whether or not its answer came."""
        assert self.history is not None
        return self._installation.witness.changed_at.get(self.history.key)

    def _note(self, what: str) -> None:
        self._installation.note(self._name, what)
