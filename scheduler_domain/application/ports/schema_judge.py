"""Whether a JSON Schema is one, and whether a value fits it."""

from collections.abc import Sequence
from typing import Any, Protocol

from scheduler_domain.domain.errors import Problem


class SchemaJudge(Protocol):
    def judge_schema(self, schema: dict[str, Any]) -> Sequence[Problem]:
        """Return what makes this no schema of draft 2020-12; nothing where it is one. Pointers are into the schema."""

    def judge(self, schema: dict[str, Any], value: dict[str, Any]) -> Sequence[Problem]:
        """Return each way in which the value does not fit, with pointers into the value."""
