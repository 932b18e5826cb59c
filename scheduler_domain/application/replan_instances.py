"""Replan: bring the instances of a template that changed to its newest version, a batch at a time.

A walk in the order of the keys, whose place is kept with the template: whoever goes on, after a crash or in another
process, goes on from there. What has changed hands meanwhile is passed by, since whoever changed it made it from the
newest version. What the new version cannot make a schedule of stays as it is, and says why.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from scheduler_domain.application.apply_template import ApplyTemplate, becoming
from scheduler_domain.application.change_schedule import ChangeSchedule, Precondition
from scheduler_domain.application.compile_template import CompiledTemplate, Draft
from scheduler_domain.application.find_template import FindTemplate
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.templates import (
    FoundInstance,
    Replanned,
    ReplanTurn,
    ReplanTurns,
    TemplateInstances,
)
from scheduler_domain.domain.errors import InvalidField, NotFound
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.template import InstanceOrigin

INSTANCES_AT_ONCE: Final = 200
TURN: Final = timedelta(seconds=15)
"""How long one process keeps a batch to itself: what was cut short, by a dispatcher that is stopped or by an outage, is
taken up again after that. A batch that takes longer does no harm, for two may work at one."""
_LONGEST_SLICE_SECONDS: Final = 0.002  # replanning shares the loop with firing, which promises milliseconds
_LONGEST_PROBLEM: Final = 500
_SUBJECT: Final = "template"


class ReplanInstances:
    def __init__(
        self,
        turns: ReplanTurns,
        find: FindTemplate,
        instances: TemplateInstances,
        apply: ApplyTemplate,
        change: ChangeSchedule,
        clock: Clock,
    ) -> None:
        self._turns = turns
        self._find = find
        self._instances = instances
        self._apply = apply
        self._change = change
        self._clock = clock

    async def step(self) -> bool:
        """Bring one batch on; return whether there may be more to do."""
        turn = await self._turns.take(TURN)
        if turn is None:
            return False
        try:
            compiled = await self._find.compiled(turn.tenant_id, turn.template)
        except NotFound:  # deleted since
            return True
        found = await self._instances.walk(turn.tenant_id, turn.template, turn.after, INSTANCES_AT_ONCE)
        version = compiled.stored.version
        problems = await self._followed(turn, compiled, {k: it for k, it in found.items() if it.version < version})
        reached = list(found)[-1] if len(found) == INSTANCES_AT_ONCE else None
        await self._turns.record(turn, Replanned(version, reached, len(found), problems))
        return True

    async def _followed(
        self, turn: ReplanTurn, compiled: CompiledTemplate, behind: Mapping[str, FoundInstance]
    ) -> dict[str, str]:
        """Change these instances; return the problems of those that could not be."""
        drafts: dict[str, Draft] = {}
        problems: dict[str, str] = {}
        now = self._clock.now()
        slice_began = self._clock.monotonic()
        for key, found in behind.items():
            try:
                drafts[key] = compiled.draw(key, msgspec.json.decode(found.parameters), now)
            except InvalidField as refusal:
                problems[key] = refusal.message[:_LONGEST_PROBLEM]
            if self._clock.monotonic() - slice_began > _LONGEST_SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_began = self._clock.monotonic()
        changed = await self._apply.revise(turn.tenant_id, compiled, drafts, behind, now)
        for key in drafts.keys() - changed:
            try:
                await self._edit(turn.tenant_id, drafts[key], behind[key])
            except InvalidField as refusal:
                problems[key] = refusal.message[:_LONGEST_PROBLEM]
        return problems

    async def _edit(self, tenant_id: str, draft: Draft, found: FoundInstance) -> None:
        origin = draft.origin
        was = InstanceOrigin(origin.template, found.version, origin.key, found.parameters)
        caller = Caller(tenant_id, _SUBJECT, frozenset())
        try:
            await self._change.edit(caller, found.schedule_id, Precondition(), becoming(draft), origin, was)
        except NotFound:
            return  # deleted since
