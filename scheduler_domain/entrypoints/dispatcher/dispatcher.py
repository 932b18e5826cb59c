"""One dispatcher: plan, claim ahead, wait, deliver, record and rescue, each a loop of its own.

Drain, in order: claim and plan no more, give back what was not started, let started attempts end, write their
outcomes, leave. Whatever does not fit into the grace period is found by the next dispatcher when its lease runs out.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial

import structlog

from scheduler_domain.application.circuits import CircuitChange
from scheduler_domain.application.follow_weights import READ_EVERY
from scheduler_domain.application.ports.due_queue import Ended
from scheduler_domain.application.record_outcomes import ROWS_PER_WRITE
from scheduler_domain.bootstrap.dispatcher import DispatcherParts
from scheduler_domain.domain import lease
from scheduler_domain.domain.occurrence import Status
from scheduler_domain.entrypoints.dispatcher.loops import Bell, keep_stepping, try_once

MOST_OPEN = 120_000
CLAIM_POLL = 0.25
PLAN_POLL = 1.0
HEARTBEAT = 1.0
HOUSEKEEPING = 5.0
FOLLOW, FOLLOW_ON = 5.0, 0.1
REPLAN, REPLAN_ON = 2.0, 0.02
RECORDERS = 2
GATHER = 0.004
RECORD_GATHER = 0.02  # at a steady trickle a flush of the database's log each 20 ms, not one for each delivery
HELD_BACK_MOST, HELD_BACK_SECONDS = 100_000, 2.0
LAST_WAIT = 1.0
TICK = 0.001  # the loop's timers count milliseconds: a shorter wait would be none, and spin
_log = structlog.get_logger(__name__)


class Dispatcher:
    def __init__(self, parts: DispatcherParts, grace: timedelta) -> None:
        self._parts = parts
        self._grace = grace.total_seconds()
        self._stop = asyncio.Event()
        self._due, self._timer, self._plan, self._revoked = Bell(), Bell(), Bell(), Bell()
        self._burst_began: float | None = None
        self.is_ready = False

    async def run(self) -> None:
        """Work until `stop` is called, then drain."""
        background = [asyncio.create_task(loop) for loop in self._background()]
        delivering = [asyncio.create_task(loop) for loop in self._delivering()]
        self.is_ready = True
        await self._stop.wait()
        self.is_ready = False
        try:
            async with asyncio.timeout(self._grace):
                await self._drain()
        except TimeoutError:
            _log.warning("drain.incomplete", left=self._parts.deliver.open_count)
        for task in (*background, *delivering):
            task.cancel()
        # Not for ever: a statement that is cut short tells a database that is stuck, and waits for its answer.
        await asyncio.wait((*background, *delivering), timeout=LAST_WAIT)

    def stop(self) -> None:
        self._stop.set()
        for bell in (self._due, self._timer, self._plan):
            bell.ring()

    def _background(self) -> list[Coroutine[None, None, None]]:
        """What goes on while draining: a lease must not run out under an attempt that is still under way."""
        ever = asyncio.Event()
        return [
            keep_stepping("rescue.renew", self._renew_step, Bell(), ever),
            keep_stepping("rescue.obey", self._obey_step, self._revoked, ever),
            keep_stepping("rescue.beat", self._beat_step, Bell(), ever),
            *(keep_stepping("record", self._record_step, Bell(), ever) for _ in range(RECORDERS)),
            self._parts.listen(self._on_due, self._revoked.ring),
        ]

    def _delivering(self) -> list[Coroutine[None, None, None]]:
        stop = self._stop
        return [
            keep_stepping("materialise", self._plan_step, self._plan, stop),
            keep_stepping("claim", self._claim_step, self._due, stop),
            keep_stepping("deliver", self._timer_step, self._timer, stop),
            keep_stepping("admit", self._admit_step, Bell(), stop),
            keep_stepping("put_off", self._put_off_step, Bell(), stop),
            *(
                keep_stepping("deliver", partial(self._broker_step, lane), Bell(), stop)
                for lane in self._parts.broker_lanes
                for _ in range(self._parts.sends_in_flight)
            ),
            keep_stepping("housekeeping", self._housekeeping_step, Bell(), stop),
            keep_stepping("weights", self._weights_step, Bell(), stop),
            keep_stepping("tzdata", self._follow_step, Bell(), stop),
            keep_stepping("templates", self._replan_step, Bell(), stop),
        ]

    async def _drain(self) -> None:
        await try_once("drain.resign", self._parts.leadership.resign)
        released = await try_once("drain.release", self._parts.rescue.release_unstarted)
        await self._parts.deliver.finish()
        while self._parts.outcomes.open_count:
            await asyncio.sleep(GATHER)
        _log.info("drain.done", released=released)

    def _on_due(self) -> None:
        self._parts.claim.look_at_everything()
        self._due.ring()

    async def _plan_step(self) -> float:
        return 0 if await self._parts.materialise.step() else PLAN_POLL

    async def _claim_step(self) -> float:
        room = MOST_OPEN - self._parts.deliver.open_count
        if room <= 0:
            return GATHER
        if self._parts.rescue.is_out_of_touch:
            await self._parts.rescue.obey()
        try:
            await self._walk(room)
        finally:
            await self._parts.claim.let_go()
        return 0 if self._parts.claim.is_on_its_way else CLAIM_POLL

    async def _walk(self, room: int) -> None:
        claim = self._parts.claim
        async with self._parts.claiming:
            if self._stop.is_set():
                return
            async with aclosing(claim.walk(room, self._may_claim_on, self._parts.rescue.absence)) as walk:
                async for held, ended in walk:
                    self._parts.deliver.hold(held)
                    self._parts.deliver.end_claimed(ended)
                    self._timer.ring()
                    _log_unsendable(ended)
        for item, error in claim.take_unreadable():
            _log.error("claim.unreadable", tenant_id=item.tenant_id, schedule_id=str(item.schedule_id), error=error)

    def _may_claim_on(self) -> bool:
        return not (self._stop.is_set() or self._parts.rescue.is_asking)

    async def _timer_step(self) -> float:
        until_next = self._parts.deliver.start_due()
        _log_circuits(self._parts.deliver.take_circuit_changes())
        if until_next == 0:
            await asyncio.sleep(0)
            return 0
        return PLAN_POLL if until_next is None else min(max(until_next, TICK), PLAN_POLL)

    async def _admit_step(self) -> float:
        await self._parts.admit.step()
        return 0

    async def _put_off_step(self) -> float:
        await self._parts.put_off.step()
        return 0

    async def _broker_step(self, lane: str) -> float:
        await self._parts.deliver.broker_step(lane)
        return 0

    async def _record_step(self) -> float:
        outcomes = self._parts.outcomes
        await outcomes.available()
        if outcomes.open_count < ROWS_PER_WRITE:
            await asyncio.sleep(RECORD_GATHER)
        while self._holds_back():
            await asyncio.sleep(GATHER)
        ended = await outcomes.step()
        if any(item.next_due_at is not None for item in ended):
            await self._parts.materialise.plan_due()
            self._on_due()
        return 0

    def _holds_back(self) -> bool:
        """Recording waits while a burst fires, for both need the same processors; not for long, though.

        A burst that began lasts until its last sends are acknowledged, which recording beside them would delay.
        What was delivered and is not recorded is delivered again after a crash, and a broker that is slow looks like a
        burst that does not end.
        """
        deliver = self._parts.deliver
        lasts = self._burst_began is not None and not deliver.is_calm
        if not (deliver.is_bursting or lasts):
            self._burst_began = None
            return False
        now = asyncio.get_running_loop().time()
        if self._burst_began is None:
            self._burst_began = now
        return now < self._burst_began + HELD_BACK_SECONDS and self._parts.outcomes.open_count < HELD_BACK_MOST

    async def _renew_step(self) -> float:
        await self._parts.rescue.renew()
        return lease.LOOKED_AT_EVERY.total_seconds()

    async def _obey_step(self) -> float:
        if await self._parts.rescue.obey():
            self._on_due()
        return HEARTBEAT

    async def _beat_step(self) -> float:
        await self._parts.rescue.beat()
        return HEARTBEAT

    async def _housekeeping_step(self) -> float:
        await self._parts.keep_house()
        return HOUSEKEEPING

    async def _weights_step(self) -> float:
        await self._parts.follow_weights.step()
        return READ_EVERY.total_seconds()

    async def _replan_step(self) -> float:
        return REPLAN_ON if await self._parts.replan.step() else REPLAN

    async def _follow_step(self) -> float:
        follow = self._parts.follow
        was_overtaken = follow.is_overtaken
        followed = await follow.step()
        if follow.is_overtaken != was_overtaken:
            _log.info("tzdata.overtaken" if follow.is_overtaken else "tzdata.leading", version=follow.version)
        if followed.cursor_count:
            _log.info(
                "tzdata.followed",
                version=followed.version,
                cursors=followed.cursor_count,
                changes=followed.change_count,
            )
        return FOLLOW_ON if followed.goes_on else FOLLOW


def _log_circuits(changes: Sequence[CircuitChange]) -> None:
    for change in changes:
        if change.is_open:
            _log.warning("circuit.opened", tenant_id=change.tenant_id, origin=change.origin, error=change.error)
        else:
            _log.info("circuit.closed", tenant_id=change.tenant_id, origin=change.origin)


def _log_unsendable(ended: Sequence[Ended]) -> None:
    for end in ended:
        if end.status == Status.FAILED:
            claimed = end.claimed
            _log.error(
                "claim.unsendable",
                tenant_id=claimed.tenant_id,
                schedule_id=str(claimed.schedule_id),
                occurrence_id=str(claimed.id),
                error=end.error,
            )
