"""The judge of template parameters: jsonschema, draft 2020-12, with formats that are really checked.

The library is imported when a judgement is first needed: it costs a tenth of a second and 10 MB, and an API whose
instances all pass the fast check of domain/parameters.py never asks.
"""

from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from scheduler_domain.domain.errors import Problem
from scheduler_domain.domain.parameters import FORMATS
from scheduler_domain.domain.validation import escaped

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError
    from jsonschema.exceptions import SchemaError

_MOST_PROBLEMS = 20
_LONGEST_MESSAGE = 300
_CODES = {"required": "required", "type": "invalid-type", "additionalProperties": "unknown-field"}
_RANGES = frozenset(
    {
        "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
        "minProperties", "maxProperties",
    }
)  # fmt: skip


class JsonSchemaJudge:
    """The port application/ports/schema_judge.py."""

    def judge_schema(self, schema: dict[str, Any]) -> list[Problem]:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - see the module's first lines

        of_schemas = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        return _problems(of_schemas.iter_errors(schema))

    def judge(self, schema: dict[str, Any], value: dict[str, Any]) -> list[Problem]:
        try:
            return _problems(_validator(schema).iter_errors(value))
        except OverflowError:  # `multipleOf` a fraction divides as floats do
            return [Problem("", "out-of-range", "a number is too large for what its schema asks of it")]


def _validator(schema: dict[str, Any]) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - see the module's first lines

    return Draft202012Validator(schema, format_checker=_formats())


@cache
def _formats() -> "FormatChecker":
    from jsonschema import FormatChecker  # noqa: PLC0415 - see the module's first lines

    formats = FormatChecker(())
    for name, holds in FORMATS.items():
        formats.checks(name)(lambda value, holds=holds: not isinstance(value, str) or holds(value))
    return formats


def _problems(errors: "Iterable[ValidationError | SchemaError]") -> list[Problem]:
    return [_problem(error) for error in islice(errors, _MOST_PROBLEMS)]


def _problem(error: "ValidationError | SchemaError") -> Problem:
    pointer = "".join(f"/{escaped(str(step))}" for step in error.absolute_path)
    keyword = str(error.validator)
    code = "out-of-range" if keyword in _RANGES else _CODES.get(keyword, "invalid-value")
    if keyword == "required" and isinstance(error.instance, dict):
        wanted: Any = error.validator_value
        missing = next((name for name in wanted if repr(name) in error.message), None)
        pointer = pointer if missing is None else f"{pointer}/{escaped(missing)}"
    return Problem(pointer, code, error.message[:_LONGEST_MESSAGE])
