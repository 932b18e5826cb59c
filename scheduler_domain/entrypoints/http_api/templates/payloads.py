"""Templates and their instances on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from scheduler_domain.application.apply_template import LineResult, LineStatus
from scheduler_domain.application.define_template import TemplatePreview
from scheduler_domain.application.ports.answers import Answer
from scheduler_domain.application.ports.templates import InstancesPage
from scheduler_domain.application.preview_trigger import LARGEST_COUNT
from scheduler_domain.domain.errors import Problem
from scheduler_domain.domain.schedule import ScheduleDefinition, ScheduleState
from scheduler_domain.domain.template import Replanning, StoredTemplate, Template, TemplateInstance
from scheduler_domain.entrypoints.http_api.answers import versioned
from scheduler_domain.entrypoints.http_api.schedules.payloads import (
    PreviewInstant,
    PreviewNote,
    in_utc,
    preview_answer,
)

_encode = msgspec.json.Encoder().encode


class StoredTemplateView(Struct, frozen=True, rename="camel"):
    """A template as it stands. `replanning` tells how far its instances have followed; null where all have."""

    name: str
    title: str
    description: str
    version: int
    built_in: bool
    parameters: dict[str, Any]
    blueprint: dict[str, Any]
    replanning: Replanning | None
    created_at: datetime | None
    updated_at: datetime | None


class StoredTemplatesView(Struct, frozen=True, rename="camel"):
    items: list[StoredTemplateView]
    page: int
    page_size: int
    total: int
    next_cursor: str | None = None


class InstanceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the template asks for."""

    parameters: dict[str, Any]


class InstanceLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One instance among many."""

    key: str
    parameters: dict[str, Any]


class TemplateInstanceView(Struct, frozen=True, rename="camel"):
    """An instance, and how its schedule stands. `problem`: why it could not follow its template's newest version."""

    template: str
    template_version: int
    key: str
    parameters: msgspec.Raw
    schedule_id: UUID
    state: ScheduleState
    next_fire_at: datetime | None
    problem: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class TemplateInstancesView(Struct, frozen=True, rename="camel"):
    items: list[TemplateInstanceView]
    page: int
    page_size: int
    total: int
    next_cursor: str | None


class BatchLine(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of one line. `line` counts from 1; `key` is left out where the line has none that can be read."""

    line: int
    status: LineStatus
    key: str | None = None
    errors: tuple[Problem, ...] = ()


class BatchCounts(Struct, frozen=True):
    """How many lines ended how."""

    created: int
    changed: int
    unchanged: int
    failed: int


class BatchSummary(Struct, frozen=True, rename="camel"):
    """The last line. `aborted` says why not all lines were read; `resultsOmitted` counts lines that are not told of."""

    summary: BatchCounts
    dry_run: bool
    results_omitted: int
    aborted: Problem | None


class TemplatePreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of an instance that is not made."""

    parameters: dict[str, Any] = field(default_factory=dict)
    count: Annotated[int, Meta(ge=1, le=LARGEST_COUNT)] = 10


class UnsavedPreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template that is not saved, and parameters for it."""

    template: Template
    parameters: dict[str, Any] = field(default_factory=dict)
    count: Annotated[int, Meta(ge=1, le=LARGEST_COUNT)] = 10


class TemplatePreviewAnswer(Struct, frozen=True):
    """The schedule that the parameters make, its rule in words, what is odd about it, and when it fires next."""

    schedule: ScheduleDefinition
    words: str
    notes: list[PreviewNote]
    occurrences: list[PreviewInstant]


def template_view(stored: StoredTemplate) -> StoredTemplateView:
    template = stored.template
    return StoredTemplateView(
        template.name,
        template.title,
        template.description,
        stored.version,
        stored.is_built_in,
        template.parameters,
        template.blueprint,
        stored.replanning,
        in_utc(stored.created_at),
        in_utc(stored.updated_at),
    )


def template_answer(stored: StoredTemplate, status: int = 200) -> Answer:
    return versioned(_encode(template_view(stored)), stored.version, f"/templates/{stored.template.name}", status)


def templates_json(templates: list[StoredTemplate], page: int, size: int) -> bytes:
    shown = templates[(page - 1) * size : page * size]
    return _encode(StoredTemplatesView([template_view(stored) for stored in shown], page, size, len(templates)))


def instance_view(instance: TemplateInstance) -> TemplateInstanceView:
    origin = instance.origin
    return TemplateInstanceView(
        origin.template,
        origin.version,
        origin.key,
        msgspec.Raw(origin.parameters.encode()),
        instance.schedule_id,
        ScheduleState(instance.state),
        in_utc(instance.next_fire_at),
        instance.problem,
        instance.schedule_version,
        in_utc(instance.created_at) or instance.created_at,
        in_utc(instance.updated_at) or instance.updated_at,
    )


def instance_answer(instance: TemplateInstance, status: int = 200) -> Answer:
    path = f"/templates/{instance.origin.template}/instances/{instance.origin.key}"
    return versioned(_encode(instance_view(instance)), instance.schedule_version, path, status)


def instances_json(found: InstancesPage, page: int, size: int) -> bytes:
    items = [instance_view(instance) for instance in found.instances]
    return _encode(TemplateInstancesView(items, page, size, found.total, found.next_cursor))


def batch_line_json(result: LineResult) -> bytes:
    return _encode(BatchLine(result.number, result.status, result.key, result.problems)) + b"\n"


def template_preview_json(previewed: TemplatePreview) -> bytes:
    answer = preview_answer(previewed.preview)
    return _encode(TemplatePreviewAnswer(previewed.definition, answer.words, answer.notes, answer.occurrences))
