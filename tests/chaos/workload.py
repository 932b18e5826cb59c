"""Schedules that come, change and go over the real API, and a true record of what was asked and when it was answered.

Each change lies between the first request for it and the answer (requests.py); a schedule is changed by one at a time.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.chaos.definitions import FRAGILE_ATTEMPTS, Definitions
from tests.chaos.history import Action, Change, Once, Rule, Story
from tests.chaos.instances import BEAT, Instances
from tests.chaos.recoveries import Recoveries
from tests.chaos.requests import Requests
from tests.chaos.stage import TENANTS, Stage
from tests.chaos.tasks import forget_done

_POPULATION = 150
_OF_TEMPLATES = 40
_CREATED_TOGETHER = 8
_CHANGE_EVERY = 0.15
_INSTANCES_TOGETHER = 5
_TEMPLATE_FOLLOWED_WITHIN = 35.0
"""Two turns at bringing its instances on, should the first be cut short; a run would have to wait for that."""


Way = Callable[[Story], Coroutine[Any, Any, None]]


class Workload:
    def __init__(self, stage: Stage, seed: int) -> None:
        self.stories: list[Story] = []
        self.requests = Requests(stage)
        self._draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be unguessable
        self._definitions = Definitions(self._draw, stage.receiver.urls)
        self._instances = Instances(self.requests, self._definitions, self._draw, self.stories)
        self._recoveries = Recoveries(self.requests, self._definitions, self._draw, stage.receiver)
        self._busy: set[str] = set()
        self._changes: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for change in self._changes:
            change.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)
        await self.requests.close()

    async def populate(self) -> None:
        await self._instances.define_templates()
        gate = asyncio.Semaphore(_CREATED_TOGETHER)

        async def create(number: int) -> None:
            async with gate:
                await (self._instances.create() if number < _OF_TEMPLATES else self._create())

        await asyncio.gather(*(create(number) for number in range(_POPULATION)))

    async def keep_changing(self, seconds: float) -> None:
        """Begin a change several times a second, whether those before it were answered or not."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            change = asyncio.create_task(self._change(left))
            self._changes.add(change)
            change.add_done_callback(partial(forget_done, self._changes))
            await asyncio.sleep(_CHANGE_EVERY)

    async def settled(self) -> None:
        """Wait until every change was answered."""
        while self._changes:
            await asyncio.gather(*self._changes)

    async def _change(self, seconds_left: float) -> None:
        template = 1 if seconds_left > _TEMPLATE_FOLLOWED_WITHIN else 0
        ways = {
            self._change_one: 45,
            self._recover: 25,
            self._create: 15,
            self._instances.create: 7,
            self._change_together: 7,
            self._change_template: template,
        }
        await self._draw.choices(list(ways), list(ways.values()))[0]()

    async def _change_one(self) -> None:
        free = self._free()
        if free:
            story = self._draw.choice(free)
            with self._occupied([story]):
                await self._draw.choice(self._ways(story))(story)

    async def _recover(self) -> None:
        recoveries = self._recoveries
        way = self._draw.choice((recoveries.trigger, recoveries.backfill, recoveries.replay))
        is_fragile = way == recoveries.replay
        free = [it for it in self._free() if not is_fragile or it.most_attempts == FRAGILE_ATTEMPTS]
        if free:
            story = self._draw.choice(free)
            with self._occupied([story]):
                await way(story)

    async def _change_together(self) -> None:
        """Apply a template to new keys, or to such as have instances of it, in one request."""
        free = [(story, story.instance[0]) for story in self._free() if story.instance]
        if not free or self._draw.random() < 0.3:
            await self._instances.create(_INSTANCES_TOGETHER)
            return
        one, template = self._draw.choice(free)
        same = [story for story, its in free if (story.tenant_id, its) == (one.tenant_id, template)]
        chosen = self._draw.sample(same, min(_INSTANCES_TOGETHER, len(same)))
        with self._occupied(chosen):
            await self._instances.change(chosen)

    async def _change_template(self) -> None:
        tenant = self._draw.choice(TENANTS)
        beats = [it for it in self.stories if it.tenant_id == tenant and it.instance and it.instance[0] == BEAT]
        living = [story for story in beats if not story.is_deleted]
        if self._instances.may_change_template(tenant) and all(it.schedule_id not in self._busy for it in living):
            with self._occupied(living):
                await self._instances.change_template(tenant, living)

    def _free(self) -> list[Story]:
        return [it for it in self.stories if it.schedule_id not in self._busy and not it.is_deleted]

    @contextmanager
    def _occupied(self, stories: Sequence[Story]) -> Iterator[None]:
        ids = {story.schedule_id for story in stories}
        self._busy |= ids
        try:
            yield
        finally:
            self._busy -= ids

    def _ways(self, story: Story) -> list[Way]:
        replan, delete = self._replan, self._delete
        if story.instance is not None:
            replan, delete = self._apply_again, self._instances.delete
        elif isinstance(story.rule, Once):
            return [delete]
        if story.is_paused:
            return [self._resume, self._resume, replan, delete]
        return [self._pause, self._pause, replan, replan, self._rename, delete]

    async def _create(self) -> None:
        tenant = self._draw.choice(TENANTS)
        drawn, key = self._definitions.drawn(), self._definitions.key()
        sent_at = time.time()
        answer = await self.requests.acknowledged(tenant, "POST", "/schedules", drawn.definition, key)
        created = Change(Action.CREATED, sent_at, time.time(), drawn.rule)
        story = Story(tenant, answer.json()["id"], drawn.definition["target"]["kind"], drawn.rule, [created], set())
        story.most_attempts, story.awaits_callback = drawn.most_attempts, drawn.awaits_callback
        story.overlap = drawn.overlap
        self.stories.append(story)

    async def _delete(self, story: Story) -> None:
        await self._acknowledged(story, Action.DELETED, "DELETE", "")

    async def _pause(self, story: Story) -> None:
        await self._acknowledged(story, Action.PAUSED, "POST", "/pause", {})

    async def _resume(self, story: Story) -> None:
        await self._acknowledged(story, Action.RESUMED, "POST", "/resume", {})

    async def _rename(self, story: Story) -> None:
        name = f"chaos {self._draw.randrange(10**6)}"
        await self._acknowledged(story, Action.RENAMED, "PATCH", "", {"name": name})

    async def _replan(self, story: Story) -> None:
        planned = self._definitions.replanned(story)
        fields = {"startAt": None, **planned.fields}
        await self._acknowledged(story, Action.REPLANNED, "PATCH", "", fields, planned.rule)

    async def _apply_again(self, story: Story) -> None:
        await self._instances.change([story])

    async def _acknowledged(
        self,
        story: Story,
        action: Action,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        rule: Rule | None = None,
    ) -> None:
        sent_at = time.time()
        await self.requests.acknowledged(story.tenant_id, method, f"/schedules/{story.schedule_id}{path}", body)
        story.rule = rule or story.rule
        story.changes.append(Change(action, sent_at, time.time(), rule))
