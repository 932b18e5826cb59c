"""JSON Merge Patch (RFC 7396) of a schedule, with one addition for its two members that are tagged unions.

Where a patch names another `type` of trigger or `kind` of target than the schedule has, the members of the old one mean
nothing in the new: it is replaced as a whole instead of merged. RFC 7396 alone would make every such patch an error.
"""

from collections.abc import Mapping
from typing import Any, Final

_TAGS: Final = {"trigger": "type", "target": "kind"}


def merge_schedule(schedule: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schedule with the patch applied.

    >>> merge_schedule({"trigger": {"type": "CRON", "cron": "@daily"}}, {"trigger": {"type": "RRULE", "rrule": "…"}})
    {'trigger': {'type': 'RRULE', 'rrule': '…'}}
    >>> merge_schedule({"payload": {"type": "a", "b": 1}}, {"payload": {"type": "c"}})
    {'payload': {'type': 'c', 'b': 1}}
    """
    kept = {name: member for name, member in schedule.items() if not _is_of_another_kind(name, member, patch.get(name))}
    merged: dict[str, Any] = merge(kept, patch)
    return merged


def merge(value: Any, patch: Any) -> Any:
    """Return the value with the patch applied; null removes a member, lists are replaced.

    >>> merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None}, "a": 4})
    {'a': 4, 'b': {'d': 3}}
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(value) if isinstance(value, Mapping) else {}
    for name, member in patch.items():
        if member is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), member)
    return merged


def _is_of_another_kind(name: str, value: Any, patch: Any) -> bool:
    tag = _TAGS.get(name)
    if tag is None or not isinstance(value, Mapping) or not isinstance(patch, Mapping):
        return False
    return tag in value and tag in patch and bool(value[tag] != patch[tag])
