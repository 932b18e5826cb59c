"""Rows of templates and their instances as the values they stand for."""

import asyncpg
import msgspec

from scheduler_domain.domain.template import InstanceOrigin, Replanning, StoredTemplate, Template, TemplateInstance

_decode = msgspec.json.Decoder(Template).decode


def template_of(row: asyncpg.Record) -> StoredTemplate:
    """Return the template; its progress is told while instances are behind, and after that if some stayed behind."""
    replanning = None
    if row["replan_after"] is not None or row["replan_failed"]:
        replanning = Replanning(row["replan_total"], row["replan_done"], row["replan_failed"])
    return StoredTemplate(
        template=_decode(row["document"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        replanning=replanning,
    )


def instance_of(template: str, row: asyncpg.Record) -> TemplateInstance:
    return TemplateInstance(
        origin=InstanceOrigin(template, row["template_version"], row["key"], row["parameters"]),
        schedule_id=row["schedule_id"],
        schedule_version=row["schedule_version"],
        state=row["state"],
        next_fire_at=row["next_fire_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        problem=row["problem"],
    )
