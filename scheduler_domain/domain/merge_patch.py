"""JSON Merge Patch (RFC 7396), with one addition for values that are tagged unions.

Where a patch names another `type` or `kind` than the value has, the members of the old kind mean nothing in the new
one: the object is replaced as a whole instead of merged. RFC 7396 alone would make every such patch an error.
"""

from typing import Any

_TAGS = ("type", "kind")


def merge(value: Any, patch: Any) -> Any:
    """Return the value with the patch applied; null removes a member, lists are replaced.

    >>> merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None}, "a": 4})
    {'a': 4, 'b': {'d': 3}}
    >>> merge({"type": "CRON", "cron": "@daily"}, {"type": "RRULE", "rrule": "FREQ=DAILY"})
    {'type': 'RRULE', 'rrule': 'FREQ=DAILY'}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) and not _is_of_another_kind(value, patch) else {}
    for name, member in patch.items():
        if member is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), member)
    return merged


def _is_of_another_kind(value: dict[str, Any], patch: dict[str, Any]) -> bool:
    return any(tag in value and tag in patch and value[tag] != patch[tag] for tag in _TAGS)
