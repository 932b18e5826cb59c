"""Schedules that come from templates: applied by key, one by one and many together, changed, deleted, made anew.

Two templates. The instances of `beat` fire every few seconds; its own new versions move them all. Those of `greeting`
fire at one local time a day, and are moved to later times of the same day: what has greeted greets no more on it.
"""

import asyncio
import json
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from msgspec import Struct

from tests.chaos.definitions import RETRY, TIMEOUT_SECONDS, Definitions
from tests.chaos.history import Action, Change, Every, Once, Rule, Story
from tests.chaos.requests import Requests
from tests.chaos.stage import TENANTS

BEAT, GREETING = "beat", "greeting"
_STEPS = (2, 3, 5)
_KEYS = 60
_DAY = 86_400
_LOOK_EVERY = 0.3


class Wanted(Struct, frozen=True):
    """An instance under a key as it is to be: what to send, and what it means."""

    template: str
    key: str
    parameters: dict[str, Any]
    rule: Rule


class Instances:
    def __init__(self, requests: Requests, definitions: Definitions, draw: random.Random, stories: list[Story]) -> None:
        self._requests = requests
        self._definitions = definitions
        self._draw = draw
        self._stories = stories
        self._zone, self._offset = _zone_of_noon()
        self._versions = dict.fromkeys(TENANTS, 1)
        self._being_made: Counter[tuple[str, str]] = Counter()
        self._changing: set[str] = set()
        self._taken: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._greeted: set[str] = set()

    async def define_templates(self) -> None:
        for tenant in TENANTS:
            for template in (_beat(1), _greeting()):
                await self._requests.acknowledged(tenant, "PUT", f"/templates/{template['name']}", template)

    async def create(self, count: int = 1) -> None:
        """Apply a template to as many free keys as there are of them, one by one or together."""
        tenant, template = self._draw.choice(TENANTS), self._draw.choice((BEAT, BEAT, GREETING))
        if template == BEAT and tenant in self._changing:
            return
        free = [f"k{n}" for n in range(_KEYS) if (template, f"k{n}") not in self._taken[tenant]]
        if not free:
            return
        chosen = self._draw.sample(free, min(count, len(free)))
        wanted = [self._wanted(tenant, template, key) for key in chosen]
        with self._taking(tenant, template, wanted):
            sent_at = time.time()
            ids = await self._applied(tenant, template, wanted)
            for one, id_ in zip(wanted, ids, strict=True):
                created = Change(Action.CREATED, sent_at, time.time(), one.rule)
                kind = one.parameters["target"]["kind"]
                self._stories.append(Story(tenant, id_, kind, one.rule, [created], set(), (template, one.key)))

    async def change(self, stories: Sequence[Story]) -> None:
        """Send other parameters for instances of one tenant and template; a greeting that is just due is left."""
        changed = [story for story in stories if await self._is_movable(story)]
        if not changed:
            return
        tenant, (template, _) = changed[0].tenant_id, _place(changed[0])
        wanted = [self._wanted(tenant, *_place(story)) for story in changed]
        sent_at = time.time()
        ids = await self._applied(tenant, template, wanted)
        answered_at = time.time()
        for story, one, id_ in zip(changed, wanted, ids, strict=True):
            if id_ != story.schedule_id:
                self._requests.refused.append(f"instance {one.key} of {template}: {story.schedule_id} became {id_}")
            rule = self._moved(story, one.rule, answered_at) if isinstance(one.rule, Once) else one.rule
            story.rule = rule
            story.changes.append(Change(Action.REPLANNED, sent_at, answered_at, rule))

    async def delete(self, story: Story) -> None:
        template, key = _place(story)
        sent_at = time.time()
        await self._requests.acknowledged(story.tenant_id, "DELETE", f"/templates/{template}/instances/{key}")
        story.changes.append(Change(Action.DELETED, sent_at, time.time()))
        self._taken[story.tenant_id].discard((template, key))

    def may_change_template(self, tenant: str) -> bool:
        return not self._being_made[tenant, BEAT] and tenant not in self._changing

    async def change_template(self, tenant: str, stories: Iterable[Story]) -> None:
        """Store a new version of `beat` and wait until its instances, which are `stories`, have followed."""
        path = f"/templates/{BEAT}"
        self._versions[tenant] += 1
        version = self._versions[tenant]
        self._changing.add(tenant)
        try:
            sent_at = time.time()
            await self._requests.acknowledged(tenant, "PUT", path, _beat(version))
            while (answer := (await self._requests.acknowledged(tenant, "GET", path)).json())["replanning"]:
                await asyncio.sleep(_LOOK_EVERY)
            if answer["version"] != version:
                self._requests.refused.append(f"{path} has version {answer['version']}, not {version}")
            for story in stories:
                assert isinstance(story.rule, Every)
                story.rule = Every(version % 2, story.rule.step)
                story.changes.append(Change(Action.REPLANNED, sent_at, time.time(), story.rule))
        finally:
            self._changing.discard(tenant)

    @contextmanager
    def _taking(self, tenant: str, template: str, wanted: Iterable[Wanted]) -> Iterator[None]:
        """Keep the keys from others, and the template from changing."""
        self._taken[tenant] |= {(template, one.key) for one in wanted}
        self._being_made[tenant, template] += 1
        try:
            yield
        finally:
            self._being_made[tenant, template] -= 1

    async def _applied(self, tenant: str, template: str, wanted: Sequence[Wanted]) -> list[str]:
        """Apply the template to each key, together where there are several; return their schedules' ids."""
        path = f"/templates/{template}/instances"
        if len(wanted) == 1:
            body = {"parameters": wanted[0].parameters}
            answer = await self._requests.acknowledged(tenant, "PUT", f"{path}/{wanted[0].key}", body)
            return [answer.json()["scheduleId"]]
        lines = b"".join(json.dumps({"key": it.key, "parameters": it.parameters}).encode() + b"\n" for it in wanted)
        while not self._is_carried_out(await self._requests.acknowledged_lines(tenant, f"{path}:batch", lines)):
            await asyncio.sleep(_LOOK_EVERY)
        answers = [await self._requests.acknowledged(tenant, "GET", f"{path}/{one.key}") for one in wanted]
        return [answer.json()["scheduleId"] for answer in answers]

    def _is_carried_out(self, answer: httpx.Response) -> bool:
        """Tell whether all lines were; a batch may be broken off by an outage, which its last line says."""
        *lines, last = [json.loads(line) for line in answer.text.splitlines()]
        failed = [line for line in lines if line["status"] == "FAILED"]
        codes = {error["code"] for line in failed for error in line["errors"]}
        if codes - {"conflict"}:
            self._requests.refused.append(f"a batch of instances: {failed}")
        return not failed and last["aborted"] is None

    def _wanted(self, tenant: str, template: str, key: str) -> Wanted:
        parameters = {"zone": self._zone, "target": self._definitions.target()}
        if template == BEAT:
            step = self._draw.choice(_STEPS)
            return Wanted(template, key, {**parameters, "step": step}, Every(self._versions[tenant] % 2, step))
        at = math.ceil(time.time()) + self._draw.randrange(2, 20)
        local = datetime.fromtimestamp(at, UTC) + self._offset
        fields = {"hour": local.hour, "minute": local.minute, "second": local.second}
        return Wanted(template, key, parameters | fields, Once(at))

    async def _is_movable(self, story: Story) -> bool:
        """Tell a greeting whose day is decided: to come, or surely greeted. A beat can always be changed."""
        rule = story.rule
        if not isinstance(rule, Once) or rule.at > time.time() + 1 or story.schedule_id in self._greeted:
            return True
        path = f"/schedules/{story.schedule_id}/occurrences?status=COMPLETED"
        occurrences = (await self._requests.acknowledged(story.tenant_id, "GET", path)).json()["items"]
        if any(occurrence["kind"] == "SCHEDULED" for occurrence in occurrences):
            self._greeted.add(story.schedule_id)
        return story.schedule_id in self._greeted

    def _moved(self, story: Story, rule: Once, answered_at: float) -> Once:
        """Return what a greeting means that was moved: today's, or tomorrow's where today's was sent."""
        assert isinstance(story.rule, Once)
        if story.schedule_id in self._greeted:
            return Once(rule.at + _DAY)
        return Once(rule.at, surely=story.rule.surely and answered_at < story.rule.at)


def _place(story: Story) -> tuple[str, str]:
    assert story.instance is not None
    return story.instance


def _zone_of_noon() -> tuple[str, timedelta]:
    """Return a zone in which it is about noon, so that no run comes across its midnight, and its offset."""
    hours = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-hours:+d}" if hours else "UTC", timedelta(hours=hours)  # these zones count westwards


def _beat(version: int) -> dict[str, Any]:
    return _template(BEAT, {"step": {"enum": list(_STEPS)}}, f"{version % 2}-59/${{step}} * * * * *")


def _greeting() -> dict[str, Any]:
    bounds = {"hour": 23, "minute": 59, "second": 59}
    fields = {name: {"type": "integer", "minimum": 0, "maximum": most} for name, most in bounds.items()}
    return _template(GREETING, fields, "${second} ${minute} ${hour} * * *")


def _template(name: str, parameters: dict[str, Any], cron: str) -> dict[str, Any]:
    properties = parameters | {
        "zone": {"type": "string", "format": "time-zone", "default": "UTC"},
        "target": {"type": "object", "default": {"kind": "EVENT", "eventTopic": "chaos.fired"}},
    }
    schema = {"type": "object", "properties": properties, "required": list(parameters), "additionalProperties": False}
    blueprint = {
        "name": "chaos ${key}",
        "tz": "${zone}",
        "trigger": {"type": "CRON", "cron": cron},
        "target": "${target}",
        "retry": RETRY,
        "timeoutSec": TIMEOUT_SECONDS,
    }
    return {"name": name, "parameters": schema, "blueprint": blueprint}
