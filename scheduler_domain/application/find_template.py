"""Find a template, built in or the tenant's own, and keep the newest compiled."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from scheduler_domain.application.compile_template import CompiledTemplate, Shapes
from scheduler_domain.application.ports.schema_judge import SchemaJudge
from scheduler_domain.application.ports.templates import Templates
from scheduler_domain.domain.errors import NotFound
from scheduler_domain.domain.template import StoredTemplate
from scheduler_domain.domain.validation import TargetPolicy

NO_SUCH_TEMPLATE: Final = "there is no such template"
_KEPT: Final = 64


class FindTemplate:
    def __init__(
        self, templates: Templates, built_in: Mapping[str, StoredTemplate], policy: TargetPolicy, judge: SchemaJudge
    ) -> None:
        self._templates = templates
        self.built_in = built_in
        self._policy = policy
        self._judge = judge
        self._shapes: Shapes = {}
        self._compiled: dict[tuple[str, str, int, datetime | None], CompiledTemplate] = {}

    async def stored(self, tenant_id: str, name: str) -> StoredTemplate:
        """Return the template as it stands. Raises NotFound."""
        stored = self.built_in.get(name) or await self._templates.by_name(tenant_id, name)
        if stored is None:
            raise NotFound(NO_SUCH_TEMPLATE)
        return stored

    async def compiled(self, tenant_id: str, name: str) -> CompiledTemplate:
        """Return the template as it stands, compiled. Raises NotFound."""
        return self.compile(tenant_id, await self.stored(tenant_id, name))

    def compile(self, tenant_id: str, stored: StoredTemplate) -> CompiledTemplate:
        """Return a stored template compiled. A name may be given anew, so it is known by when it was made as well."""
        owner = "" if stored.is_built_in else tenant_id
        key = (owner, stored.template.name, stored.version, stored.created_at)
        known = self._compiled.pop(key, None) or self.compile_unsaved(stored)
        self._compiled[key] = known  # the last one used is the last one to go
        if len(self._compiled) > _KEPT:
            del self._compiled[next(iter(self._compiled))]
        return known

    def compile_unsaved(self, stored: StoredTemplate) -> CompiledTemplate:
        """Return a template compiled and not kept. Raises InvalidField."""
        return CompiledTemplate(stored, self._policy, self._judge, self._shapes)
