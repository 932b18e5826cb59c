"""The document as OpenAPI 3.0, for the bundled Swagger UI, which reads nothing newer.

Goes when a Swagger UI of version 5 or later is bundled. What 3.1 took from JSON Schema 2020-12 is said in the older
way: `null` as `nullable`, `const` as a list of one, `examples` as one `example`.
"""

from typing import Any


def in_openapi_30(document: dict[str, Any]) -> dict[str, Any]:
    """Return the same API described in OpenAPI 3.0.3."""
    older: dict[str, Any] = _older(document)
    older["openapi"] = "3.0.3"
    older["info"]["license"].pop("identifier", None)
    return older


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, dict):
        return value
    members = {name: _older(member) for name, member in value.items()}
    if members.get("required") == []:
        del members["required"]
    if "const" in members:
        members["enum"] = [members.pop("const")]
    if isinstance(members.get("examples"), list):
        members["example"] = members.pop("examples")[0]
    for several in ("anyOf", "oneOf"):
        if {"type": "null"} in members.get(several, []):
            return _nullable(members, several)
    return members


def _nullable(members: dict[str, Any], several: str) -> dict[str, Any]:
    others = [item for item in members.pop(several) if item != {"type": "null"}]
    if len(others) == 1 and "$ref" not in others[0]:
        return {**others[0], **members, "nullable": True}
    # A reference allows nothing beside itself in 3.0, so it is wrapped.
    return {**members, "allOf" if len(others) == 1 else several: others, "nullable": True}
