"""Define: a tenant's own templates, checked as far as they can be while somebody listens, and previewed by anybody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from scheduler_domain.application.answer_once import Once
from scheduler_domain.application.change_schedule import Precondition
from scheduler_domain.application.compile_template import CompiledTemplate
from scheduler_domain.application.find_template import NO_SUCH_TEMPLATE, FindTemplate
from scheduler_domain.application.ports.clock import Clock
from scheduler_domain.application.ports.schema_judge import SchemaJudge
from scheduler_domain.application.ports.templates import Templates
from scheduler_domain.application.preview_trigger import Preview, preview_trigger
from scheduler_domain.domain.errors import (
    Conflict,
    Forbidden,
    InvalidField,
    KeyTaken,
    NotFound,
    Problem,
    VersionMismatch,
)
from scheduler_domain.domain.leap_days import leap_day_note
from scheduler_domain.domain.parameters import schema_problems
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.sample_parameters import sample_parameters
from scheduler_domain.domain.schedule import ScheduleDefinition, rule_spec_of
from scheduler_domain.domain.template import (
    LARGEST_TEMPLATE,
    StoredTemplate,
    Template,
    check_name,
    encoded_size,
    name_taken,
)
from scheduler_domain.domain.triggers import TriggerError, compile_rule
from scheduler_domain.domain.validation import checked_rule, refuse, rule_problem, text_problems

_PREVIEW_KEY: Final = "preview"


class TemplatePreview(Struct, frozen=True):
    """The schedule that parameters would make, and when it would fire."""

    definition: ScheduleDefinition
    preview: Preview


class DefineTemplates:
    def __init__(self, templates: Templates, find: FindTemplate, judge: SchemaJudge, clock: Clock) -> None:
        self._templates = templates
        self._find = find
        self._judge = judge
        self._clock = clock

    async def all_of(self, caller: Caller) -> Sequence[StoredTemplate]:
        """Return the built-in templates and then the tenant's own, each by name."""
        return [*self._find.built_in.values(), *await self._templates.all_of(caller.tenant_id)]

    async def by_name(self, caller: Caller, name: str) -> StoredTemplate:
        """Raises NotFound, for another tenant's template as for none."""
        return await self._find.stored(caller.tenant_id, name)

    async def create(
        self, caller: Caller, template: Template, once: Once[StoredTemplate] | None = None
    ) -> StoredTemplate:
        """Return the stored template. Raises InvalidField with what is wrong with it, KeyTaken, and AnswerTaken."""
        self._check(template)
        if template.name in self._find.built_in:
            raise KeyTaken(name_taken(template.name))
        now = self._clock.now()
        stored = StoredTemplate(template=template, version=1, created_at=now, updated_at=now)
        await self._templates.add(caller.tenant_id, stored, None if once is None else once.remembered(stored))
        return stored

    async def put(self, caller: Caller, template: Template, precondition: Precondition) -> tuple[StoredTemplate, bool]:
        """Return the template and whether it is new. Its instances follow a change in the background.

        A template that says what it said already stays at its version. Raises what `create` raises, VersionMismatch,
        and Forbidden for a built-in one.
        """
        self._refuse_built_in(template.name)
        self._check(template)
        async with self._templates.held(caller.tenant_id, template.name) as held:
            if held is not None:
                precondition.check(held.stored.version)
                is_same = held.stored.template == template
                return (held.stored if is_same else await held.replace(template)), False
        if precondition.needs_existing:
            raise VersionMismatch("there is no template with this name that If-Match could match")
        return await self.create(caller, template), True

    async def delete(self, caller: Caller, name: str, precondition: Precondition) -> None:
        """Delete a template without instances. Raises NotFound, VersionMismatch, Forbidden, Conflict that counts."""
        self._refuse_built_in(name)
        async with self._templates.held(caller.tenant_id, name) as held:
            if held is None:
                raise NotFound(NO_SUCH_TEMPLATE)
            precondition.check(held.stored.version)
            count = await held.instance_count()
            if count:
                hanging = "1 instance hangs" if count == 1 else f"{count:,} instances hang"
                raise Conflict(f"{hanging} on {name}; delete them first")
            await held.delete()

    async def preview(self, caller: Caller, name: str, given: dict[str, Any], count: int) -> TemplatePreview:
        """Return what an instance with these parameters would be. Raises NotFound and InvalidField."""
        return self._previewed(await self._find.compiled(caller.tenant_id, name), given, count)

    def preview_unsaved(self, template: Template, given: dict[str, Any], count: int) -> TemplatePreview:
        """Return what an instance of an unsaved template would be. Raises InvalidField."""
        return self._previewed(self._checked(template), given, count)

    def _previewed(self, compiled: CompiledTemplate, given: dict[str, Any], count: int) -> TemplatePreview:
        now = self._clock.now()
        definition = compiled.draw(_PREVIEW_KEY, given, now).definition
        return TemplatePreview(definition, _preview(definition, now, count))

    def _check(self, template: Template) -> None:
        """Compile the template with sample parameters: what cannot make a schedule is refused now."""
        compiled = self._checked(template)
        sample = sample_parameters(template.parameters)
        try:
            compiled.check(sample)
            definition = compiled.definition(_PREVIEW_KEY, sample)
            checked_rule(definition, self._clock.now())
        except InvalidField as refusal:
            raise InvalidField(
                f"with sample parameters this makes no schedule: {refusal.message}; where a parameter is special, "
                "give it a default or examples in its schema",
                tuple(Problem(f"/blueprint{item.pointer}", item.code, item.message) for item in refusal.problems),
            ) from None

    def _checked(self, template: Template) -> CompiledTemplate:
        check_name(template.name, "/name")
        if encoded_size(template) > LARGEST_TEMPLATE:
            raise InvalidField.at("", "template-too-large", f"a template has {LARGEST_TEMPLATE // 1024} KiB at most")
        refuse(
            [
                *text_problems(template.title, "/title"),
                *text_problems(template.description, "/description", allow_lines=True),
            ]
        )
        refuse(list(schema_problems(template.parameters)))
        judged = self._judge.judge_schema(template.parameters)
        refuse([Problem(f"/parameters{item.pointer}", item.code, item.message) for item in judged])
        return self._find.compile_unsaved(StoredTemplate(template=template, version=0))

    def _refuse_built_in(self, name: str) -> None:
        if name in self._find.built_in:
            raise Forbidden(f"{name} is built in and read-only; store a copy under another name")


def _preview(definition: ScheduleDefinition, now: datetime, count: int) -> Preview:
    spec = rule_spec_of(definition, now)
    try:
        preview = preview_trigger(spec, now, count, definition.max_runs)
        leap = leap_day_note(compile_rule(spec), now)
    except TriggerError as error:
        raise rule_problem(error) from None
    return preview if leap is None else Preview(preview.words, (leap, *preview.notes), preview.items)
