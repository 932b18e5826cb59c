"""Schedules that come, change and go over the real API, and a true record of what was asked and when it was answered.

A request that is not answered may have been carried out. So each is repeated until its 2xx arrives, under one
Idempotency-Key where it creates something, and its change lies between the first request and the last answer.
"""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from msgspec import Struct

from tests.chaos.history import Action, Chain, Change, Every, Once, Rule, Story
from tests.chaos.stage import TENANTS, Stage

_POPULATION = 150
_CREATED_TOGETHER = 8
_CHANGE_EVERY = 0.2
_REQUEST_TIMEOUT = 10.0
_TRY_AGAIN_AFTER = 0.2
_STEPS, _STEP_WEIGHTS = (1, 2, 3, 5), (60, 20, 10, 10)
_RETRY = {"maxAttempts": 100, "initialDelaySec": 0.2, "factor": 2, "maxDelaySec": 2}
_TARGET_KINDS = ("EVENT", "HTTP", "QUEUE")


class Planned(Struct, frozen=True):
    """The wire form of a rule beside what it means."""

    rule: Rule
    fields: dict[str, Any]


class Workload:
    def __init__(self, stage: Stage, seed: int) -> None:
        self.stories: list[Story] = []
        self.answers: Counter[int] = Counter()
        self.refused: list[str] = []
        self.slowest_answer = 0.0
        self._stage = stage
        self._draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be unguessable
        self._busy: set[str] = set()
        self._changes: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(base_url=stage.api_url, timeout=_REQUEST_TIMEOUT, trust_env=False)
        self._headers = {
            tenant: {"Authorization": f"Bearer {stage.token(tenant)}", "X-Tenant-Id": tenant} for tenant in TENANTS
        }

    async def close(self) -> None:
        for change in self._changes:
            change.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)
        await self._client.aclose()

    async def populate(self) -> None:
        gate = asyncio.Semaphore(_CREATED_TOGETHER)

        async def create() -> None:
            async with gate:
                await self._create()

        await asyncio.gather(*(create() for _ in range(_POPULATION)))

    async def keep_changing(self, seconds: float) -> None:
        """Begin a change every fifth of a second, whether those before it were answered or not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            change = asyncio.create_task(self._change_one())
            self._changes.add(change)
            change.add_done_callback(self._changes.discard)
            await asyncio.sleep(_CHANGE_EVERY)

    async def settled(self) -> None:
        """Wait until every change was answered."""
        while self._changes:
            await asyncio.gather(*self._changes)

    async def _change_one(self) -> None:
        free = [story for story in self.stories if story.schedule_id not in self._busy and not story.is_deleted]
        if not free or self._draw.random() < 0.3:
            await self._create()
            return
        story = self._draw.choice(free)
        self._busy.add(story.schedule_id)
        try:
            await self._draw.choice(self._ways(story))(story)
        finally:
            self._busy.discard(story.schedule_id)

    def _ways(self, story: Story) -> list[Callable[[Story], Coroutine[Any, Any, None]]]:
        if isinstance(story.rule, Once):
            return [self._delete, self._trigger]
        if story.is_paused:
            return [self._resume, self._resume, self._trigger, self._delete]
        return [self._pause, self._pause, self._replan, self._replan, self._rename, self._trigger, self._delete]

    async def _create(self) -> None:
        tenant = self._draw.choice(TENANTS)
        kind = self._draw.choice(_TARGET_KINDS)
        planned = self._planned()
        definition = {
            "name": "chaos",
            "target": self._target(kind),
            "retry": _RETRY,
            "timeoutSec": 2,
            "misfire": {"policy": self._draw.choice(("FIRE_LATEST", "FIRE_ALL"))},
            **planned.fields,
        }
        sent_at = time.time()
        answer = await self._acknowledged(tenant, "POST", "/schedules", definition, key=self._key())
        created = Change(Action.CREATED, sent_at, time.time(), planned.rule)
        self.stories.append(Story(tenant, answer.json()["id"], kind, planned.rule, [created], set()))

    async def _delete(self, story: Story) -> None:
        await self._change(story, Action.DELETED, "DELETE", "")

    async def _pause(self, story: Story) -> None:
        await self._change(story, Action.PAUSED, "POST", "/pause", {})

    async def _resume(self, story: Story) -> None:
        await self._change(story, Action.RESUMED, "POST", "/resume", {})

    async def _rename(self, story: Story) -> None:
        await self._change(story, Action.RENAMED, "PATCH", "", {"name": f"chaos {self._draw.randrange(10**6)}"})

    async def _replan(self, story: Story) -> None:
        planned = self._chain() if isinstance(story.rule, Chain) else self._draw.choice((self._cron, self._rrule))()
        story.rule = planned.rule
        await self._change(story, Action.REPLANNED, "PATCH", "", {"startAt": None, **planned.fields}, planned.rule)

    async def _trigger(self, story: Story) -> None:
        path = f"/schedules/{story.schedule_id}/trigger"
        answer = await self._acknowledged(story.tenant_id, "POST", path, {}, key=self._key())
        story.manual.add(answer.json()["id"])

    async def _change(
        self,
        story: Story,
        action: Action,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        rule: Rule | None = None,
    ) -> None:
        sent_at = time.time()
        await self._acknowledged(story.tenant_id, method, f"/schedules/{story.schedule_id}{path}", body)
        story.changes.append(Change(action, sent_at, time.time(), rule))

    async def _acknowledged(
        self, tenant: str, method: str, path: str, body: dict[str, Any] | None, key: str | None = None
    ) -> httpx.Response:
        """Repeat the request until it is answered with success; a delete that finds nothing was carried out before."""
        headers = self._headers[tenant] | ({} if key is None else {"Idempotency-Key": key})
        while True:
            began = time.monotonic()
            try:
                answer = await self._client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(_TRY_AGAIN_AFTER)
                continue
            self.slowest_answer = max(self.slowest_answer, time.monotonic() - began)
            self.answers[answer.status_code] += 1
            if answer.is_success or (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
                return answer
            if answer.status_code not in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT}:
                self.refused.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(_TRY_AGAIN_AFTER)

    def _planned(self) -> Planned:
        ways = (self._cron, self._rrule, self._fixed_rate, self._chain, self._one_shot)
        return self._draw.choices(ways, weights=(35, 25, 15, 10, 15))[0]()

    def _cron(self) -> Planned:
        step = self._step()
        second = "*" if step == 1 else f"*/{step}"
        return Planned(Every(0, step), {"trigger": {"type": "CRON", "cron": f"{second} * * * * *"}})

    def _rrule(self) -> Planned:
        step, first = self._step(), int(time.time())
        dtstart = datetime.fromtimestamp(first, UTC).replace(tzinfo=None).isoformat()
        trigger = {"type": "RRULE", "rrule": f"FREQ=SECONDLY;INTERVAL={step}", "dtstart": dtstart}
        return Planned(Every(first, step), {"trigger": trigger})

    def _fixed_rate(self) -> Planned:
        step, first = self._step(), math.ceil(time.time()) + self._draw.randrange(1, 4)
        trigger = {"type": "FIXED_DELAY", "delaySec": step, "anchor": "SCHEDULE"}
        return Planned(Every(first, step), {"trigger": trigger, "startAt": _utc(first)})

    def _chain(self) -> Planned:
        delay = self._step()
        return Planned(Chain(delay), {"trigger": {"type": "FIXED_DELAY", "delaySec": delay}})

    def _one_shot(self) -> Planned:
        at = math.ceil(time.time()) + self._draw.randrange(2, 20)
        return Planned(Once(at), {"trigger": {"type": "ONE_SHOT", "startAt": _utc(at), "ifPast": "RUN_NOW"}})

    def _target(self, kind: str) -> dict[str, Any]:
        match kind:
            case "EVENT":
                return {"kind": kind, "eventTopic": "chaos.fired"}
            case "QUEUE":
                return {"kind": kind, "queue": {"topic": "chaos"}}
        return {"kind": "HTTP", "http": {"url": self._stage.receiver.url}}

    def _step(self) -> int:
        return self._draw.choices(_STEPS, weights=_STEP_WEIGHTS)[0]

    def _key(self) -> str:
        return str(UUID(int=self._draw.getrandbits(128), version=4))


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
