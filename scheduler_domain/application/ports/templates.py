"""Templates of a tenant and the instances made from them, as the API keeps them. Built-in templates are not stored."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from scheduler_domain.application.ports.answers import RememberedAnswer
from scheduler_domain.application.ports.schedules import Accepted
from scheduler_domain.domain.planning import Cursor
from scheduler_domain.domain.schedule import ScheduleDefinition
from scheduler_domain.domain.template import InstanceOrigin, StoredTemplate, Template, TemplateInstance

COUNTED_UP_TO = 10_000
MOST_TEMPLATES = 1_000


class FoundInstance(Struct, frozen=True, gc=False):
    """An instance as far as it takes to tell whether a line says anything new about it."""

    schedule_id: UUID
    version: int
    parameters: str


class NewInstance(Struct, frozen=True):
    """A schedule to be stored with what made it; `rule_text` is the planner's extract, encoded already."""

    origin: InstanceOrigin
    accepted: Accepted
    rule_text: str


class RevisedInstance(Struct, frozen=True):
    """What the schedule of an instance is to become; `cursor` stands at its first instant."""

    origin: InstanceOrigin
    was: FoundInstance
    definition: ScheduleDefinition
    cursor: Cursor
    rule_text: str


class InstancesWanted(Struct, frozen=True, kw_only=True):
    """Which instances of a template, in the order of their keys. `after` is a cursor, and wins over `page`."""

    page: int = 1
    page_size: int = 20
    after: str | None = None


class InstancesPage(Struct, frozen=True):
    """`total` is exact up to COUNTED_UP_TO and stops there."""

    instances: Sequence[TemplateInstance]
    total: int
    next_cursor: str | None


class HeldTemplate(Protocol):
    """A template that nobody else changes, and from which nobody makes an instance, until the holder is done."""

    @property
    def stored(self) -> StoredTemplate: ...

    async def replace(self, template: Template) -> StoredTemplate:
        """Store the next version, and have the instances follow it."""

    async def instance_count(self) -> int: ...

    async def delete(self) -> None: ...


class Templates(Protocol):
    async def by_name(self, tenant_id: str, name: str) -> StoredTemplate | None: ...

    async def all_of(self, tenant_id: str) -> Sequence[StoredTemplate]:
        """Return the tenant's own templates by name: MOST_TEMPLATES at most."""

    async def add(self, tenant_id: str, stored: StoredTemplate, remembered: RememberedAnswer | None) -> None:
        """Store a new template. Raises KeyTaken, AnswerTaken, and Conflict where the tenant has too many."""

    def held(self, tenant_id: str, name: str) -> AbstractAsyncContextManager[HeldTemplate | None]:
        """Hold the template for the length of the context; leaving it by an exception undoes everything."""


class TemplateInstances(Protocol):
    async def find(self, tenant_id: str, template: str, keys: Sequence[str]) -> Mapping[str, FoundInstance]:
        """Return those of the keys that are instances."""

    async def add(self, tenant_id: str, template: StoredTemplate, instances: Sequence[NewInstance]) -> set[str]:
        """Store schedules and their plans, all or nothing, and return the keys that were stored.

        A key that somebody else has stored meanwhile is not among them; none is where the template is not of this
        version any more.
        """

    async def revise(
        self,
        tenant_id: str,
        template: StoredTemplate,
        instances: Sequence[RevisedInstance],
        now: datetime,
        quiet: tuple[datetime, datetime],
    ) -> set[str]:
        """Change those of which nothing is under way, none was due since the one instant, and none will be before the
        other, and that are what they were; return their keys."""

    async def walk(self, tenant_id: str, template: str, after: str, limit: int) -> Mapping[str, FoundInstance]:
        """Return the next instances after a key, in the order of their keys; the empty key begins."""

    async def by_key(self, tenant_id: str, template: str, key: str) -> TemplateInstance | None: ...

    async def wanted(self, tenant_id: str, template: str, wanted: InstancesWanted) -> InstancesPage: ...


class ReplanTurn(Struct, frozen=True):
    """A template whose instances are behind, for this process to see to; `after` is the key that its walk reached."""

    tenant_id: str
    template: str
    after: str


class Replanned(Struct, frozen=True):
    """How a batch came to a version. `reached` is None where the walk has ended; `problems` are by key."""

    version: int
    reached: str | None
    done_count: int
    problems: Mapping[str, str]


class ReplanTurns(Protocol):
    async def take(self, length: timedelta) -> ReplanTurn | None:
        """Take the template that has waited longest; None where no instances are behind, or others are at it."""

    async def record(self, turn: ReplanTurn, replanned: Replanned) -> None:
        """Keep how far the walk has come, unless it is another one since, and give the turn back."""
