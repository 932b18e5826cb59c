"""Apply: make the schedules under the caller's keys what a template and their parameters say.

A batch is three steps: find what exists, draw what is new or says something new, store it. What says nothing new costs
a look-up. What is new is stored in one statement. What changed is changed in one statement where nothing of it is
under way, due within the minute, or just over; the few others are edited one by one, as by hand, with all that an edit
does for what is queued and held. Each line has its own result; a line that is refused stops no other. None is answered
while a dispatcher may still start what a change of its instance forbade.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scheduler_domain.application.accept_schedule import accepted_schedule
from scheduler_domain.application.change_schedule import ChangeSchedule, Edit, Precondition
from scheduler_domain.application.compile_template import CompiledTemplate, Draft
from scheduler_domain.application.find_template import FindTemplate
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.templates import (
    FoundInstance,
    InstancesPage,
    InstancesWanted,
    NewInstance,
    RevisedInstance,
    TemplateInstances,
)
from scheduler_domain.domain.errors import Conflict, InvalidField, NotFound, Problem, SchedulerError, VersionMismatch
from scheduler_domain.domain.fairness import StartTags
from scheduler_domain.domain.fired_days import LATELY
from scheduler_domain.domain.ids import schedule_id
from scheduler_domain.domain.planning import Cursor, placed
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.schedule import ScheduleDefinition
from scheduler_domain.domain.template import TemplateInstance, canonical
from scheduler_domain.domain.validation import key_problems, refuse

LINES_AT_ONCE: Final = 500
_EDITS_AT_ONCE: Final = 8
_TRIES: Final = 3
_MARGIN: Final = timedelta(seconds=10)
_LONGEST_SLICE_SECONDS: Final = 0.002  # drawing shares the loop with other requests
NO_SUCH_INSTANCE: Final = "there is no such instance"


class BatchLine(Struct, frozen=True, gc=False):
    """One instance that is wanted; `number` is its place in what the caller sent, from 1."""

    number: int
    key: str
    parameters: dict[str, Any]


class LineStatus(StrEnum):
    CREATED = "CREATED"
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    FAILED = "FAILED"


class LineResult(Struct, frozen=True, gc=False):
    number: int
    key: str | None
    status: LineStatus
    problems: tuple[Problem, ...] = ()


class ApplyTemplate:
    """`draw` yields ten random bytes a call, for the ids of new schedules."""

    def __init__(
        self,
        find: FindTemplate,
        instances: TemplateInstances,
        change: ChangeSchedule,
        clock: Clock,
        draw: Callable[[], bytes],
        lookahead: timedelta,
        tags: StartTags,
    ) -> None:
        self._find = find
        self._instances = instances
        self._change = change
        self._clock = clock
        self._draw = draw
        self._lookahead = lookahead
        self._tags = tags

    async def batch(
        self, caller: Caller, name: str, lines: Sequence[BatchLine], *, is_dry_run: bool = False
    ) -> list[LineResult]:
        """Return a result for each line, in order; no two lines may have one key. Raises NotFound for the template."""
        compiled = await self._find.compiled(caller.tenant_id, name)
        # No instance has a key with NUL, which PostgreSQL does not even look for; drawing it says what is wrong.
        keys = [line.key for line in lines if "\0" not in line.key]
        found = await self._instances.find(caller.tenant_id, name, keys)
        results: dict[str, LineResult] = {}
        drafts: dict[str, Draft] = {}
        now = self._clock.now()
        slice_began = self._clock.monotonic()
        for line in lines:
            existing = found.get(line.key)
            if existing is not None and _says_nothing_new(existing, compiled, line.parameters):
                results[line.key] = LineResult(line.number, line.key, LineStatus.UNCHANGED)
                continue
            try:
                drafts[line.key] = compiled.draw(line.key, line.parameters, now)
                status = LineStatus.CREATED if existing is None else LineStatus.CHANGED
                results[line.key] = LineResult(line.number, line.key, status)
            except InvalidField as refusal:
                results[line.key] = _failed(line, refusal)
            if self._clock.monotonic() - slice_began > _LONGEST_SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_began = self._clock.monotonic()
        if is_dry_run:
            return [results[line.key] for line in lines]
        if drafts:
            await self._store(caller, compiled, drafts, found, results, now)
        # Whoever repeats a batch whose answer was lost is told no sooner than its first answer would have come.
        unchanged = [item.schedule_id for key, item in found.items() if results[key].status == LineStatus.UNCHANGED]
        if unchanged:
            await self._change.settled(caller, unchanged)
        return [results[line.key] for line in lines]

    async def put(
        self, caller: Caller, name: str, key: str, given: dict[str, Any], precondition: Precondition
    ) -> tuple[TemplateInstance, bool]:
        """Return the instance and whether it is new. Raises NotFound, InvalidField, VersionMismatch and Conflict."""
        is_new = await self._settled(caller, name, key, given, precondition)
        return await self.by_key(caller, name, key), is_new

    async def delete(self, caller: Caller, name: str, key: str, precondition: Precondition) -> None:
        """Delete the instance and withdraw what it had planned. Raises NotFound and VersionMismatch."""
        existing = await self._existing(caller, name, key)
        if existing is None:
            raise NotFound(NO_SUCH_INSTANCE)
        await self._change.delete(caller, existing.schedule_id, precondition)

    async def by_key(self, caller: Caller, name: str, key: str) -> TemplateInstance:
        """Raises NotFound."""
        await self._find.stored(caller.tenant_id, name)
        refuse(list(key_problems(key, "/key")))
        instance = await self._instances.by_key(caller.tenant_id, name, key)
        if instance is None:
            raise NotFound(NO_SUCH_INSTANCE)
        return instance

    async def wanted(self, caller: Caller, name: str, wanted: InstancesWanted) -> InstancesPage:
        """Raises NotFound."""
        await self._find.stored(caller.tenant_id, name)
        return await self._instances.wanted(caller.tenant_id, name, wanted)

    async def _existing(self, caller: Caller, name: str, key: str) -> FoundInstance | None:
        refuse(list(key_problems(key, "/key")))
        return (await self._instances.find(caller.tenant_id, name, [key])).get(key)

    async def _settled(
        self, caller: Caller, name: str, key: str, given: dict[str, Any], precondition: Precondition
    ) -> bool:
        """Bring one instance about, whatever others do to it meanwhile; return whether it is new."""
        for _ in range(_TRIES):
            compiled = await self._find.compiled(caller.tenant_id, name)
            existing = await self._existing(caller, name, key)
            now = self._clock.now()
            if existing is None:
                if precondition.needs_existing:
                    raise VersionMismatch("there is no instance with this key that If-Match could match")
                new = self._new(caller, compiled.draw(key, given, now), now)
                if await self._instances.add(caller.tenant_id, compiled.stored, [new]):
                    return True
                continue
            is_same = _says_nothing_new(existing, compiled, given)
            if is_same and not precondition.needs_existing:
                await self._change.settled(caller, [existing.schedule_id])
                return False
            draft = compiled.draw(key, given, now)
            try:
                await self._change.edit(caller, existing.schedule_id, precondition, becoming(draft), draft.origin)
            except NotFound:
                continue
            return False
        raise Conflict("the instance under this key, or its template, keeps changing; try again shortly")

    async def _store(
        self,
        caller: Caller,
        compiled: CompiledTemplate,
        drafts: Mapping[str, Draft],
        found: Mapping[str, FoundInstance],
        results: dict[str, LineResult],
        now: datetime,
    ) -> None:
        stored: set[str] = set()
        new = [self._new(caller, draft, now) for key, draft in drafts.items() if key not in found]
        if new:
            stored |= await self._instances.add(caller.tenant_id, compiled.stored, new)
        changed = {key: draft for key, draft in drafts.items() if key in found}
        if changed:
            stored |= await self.revise(caller.tenant_id, compiled, changed, found, now)
        left = [draft for key, draft in drafts.items() if key not in stored]
        await _limited(_EDITS_AT_ONCE, [self._settling(caller, compiled, draft, results) for draft in left])

    async def revise(
        self,
        tenant_id: str,
        compiled: CompiledTemplate,
        drafts: Mapping[str, Draft],
        found: Mapping[str, FoundInstance],
        now: datetime,
    ) -> set[str]:
        """Change what can be changed in one statement; return the keys of that."""
        quiet = [
            RevisedInstance(
                draft.origin,
                found[key],
                draft.definition,
                _cursor(tenant_id, found[key], draft, now),
                draft.shape.rule_text,
            )
            for key, draft in drafts.items()
            if _may_be_quiet(draft)
        ]
        if not quiet:
            return set()
        while_quiet = now - LATELY, now + self._lookahead + _MARGIN
        return await self._instances.revise(tenant_id, compiled.stored, quiet, now, while_quiet)

    async def _settling(
        self, caller: Caller, compiled: CompiledTemplate, draft: Draft, results: dict[str, LineResult]
    ) -> None:
        key = draft.origin.key
        before = results[key]
        try:
            given = msgspec.json.decode(draft.origin.parameters)
            is_new = await self._settled(caller, compiled.stored.template.name, key, given, Precondition())
            results[key] = replace(before, status=LineStatus.CREATED if is_new else LineStatus.CHANGED)
        except (InvalidField, Conflict) as refusal:
            results[key] = replace(before, status=LineStatus.FAILED, problems=_problems(refusal))

    def _new(self, caller: Caller, draft: Draft, now: datetime) -> NewInstance:
        identity = schedule_id(now, self._draw())
        unplaced = Cursor(caller.tenant_id, identity, 1, draft.shape.rule, now, next_fire_at=None)
        cursor = placed(unplaced, draft.first)
        accepted = accepted_schedule(caller, draft.definition, cursor, draft.first, self._lookahead, self._tags)
        return NewInstance(draft.origin, accepted, draft.shape.rule_text)


def _says_nothing_new(existing: FoundInstance, compiled: CompiledTemplate, given: dict[str, Any]) -> bool:
    return existing.version == compiled.stored.version and existing.parameters == canonical(given)


def becoming(draft: Draft) -> Edit:
    """Become the draft; but a pause, which is an operator's, stays."""
    wanted = draft.definition

    def edit(definition: ScheduleDefinition) -> ScheduleDefinition:
        return replace(wanted, enabled=definition.enabled)

    return edit


def _may_be_quiet(draft: Draft) -> bool:
    """Tell what one statement can change without knowing how the schedule has fared so far."""
    definition = draft.definition
    return draft.shape.is_independent_of_creation and definition.max_runs is None and definition.enabled


def _cursor(tenant_id: str, found: FoundInstance, draft: Draft, now: datetime) -> Cursor:
    return placed(Cursor(tenant_id, found.schedule_id, 0, draft.shape.rule, now, next_fire_at=None), draft.first)


async def _limited(most: int, work: Iterable[Awaitable[None]]) -> None:
    turns = asyncio.Semaphore(most)

    async def in_turn(item: Awaitable[None]) -> None:
        async with turns:
            await item

    ended = await asyncio.gather(*map(in_turn, work), return_exceptions=True)
    for error in filter(None, ended):
        raise error


def _failed(line: BatchLine, refusal: SchedulerError) -> LineResult:
    return LineResult(line.number, line.key, LineStatus.FAILED, _problems(refusal))


def _problems(refusal: SchedulerError) -> tuple[Problem, ...]:
    problems = refusal.problems if isinstance(refusal, InvalidField) else ()
    return problems or (Problem("", refusal.code, refusal.message),)
