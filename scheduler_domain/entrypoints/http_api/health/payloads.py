"""Health on the wire."""

from msgspec import Struct


class FindingView(Struct, frozen=True, rename="camel"):
    """One dependency: ok or down, and what was seen."""

    status: str
    detail: str
    latency_ms: float | None


class HealthView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """`status` is ok, degraded (something useful is away) or down."""

    status: str
    checks: dict[str, FindingView] = {}
