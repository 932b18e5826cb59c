"""One result as everybody reports it, and the statistics in it."""

from collections.abc import Mapping, Sequence
from typing import Any

Result = dict[str, Any]


def result(name: str, n: int, settings: Mapping[str, object] | None = None, **figures: object) -> Result:
    """Return a record in the order that people read it; figures that are None were not measured and are left out."""
    measured = {key: value for key, value in figures.items() if value is not None}
    return {"name": name, "n": n, **measured, "settings": dict(settings or {})}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ascending values; `share` in (0, 1].

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def spread(milliseconds: Sequence[float], prefix: str = "") -> dict[str, float]:
    """Return p50, p99 and the largest of durations in milliseconds, ready to be figures of a result."""
    if not milliseconds:
        return {}
    ordered = sorted(milliseconds)
    return {
        f"{prefix}p50_ms": round(percentile(ordered, 0.5), 3),
        f"{prefix}p99_ms": round(percentile(ordered, 0.99), 3),
        f"{prefix}max_ms": round(ordered[-1], 3),
    }


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the lower one of the two."""
    return sorted(values)[(len(values) - 1) // 2]
