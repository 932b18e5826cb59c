"""How the trigger tests ask: short names for the usual zone, instants and rules."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler_domain.domain.triggers import DstPolicy, RuleSpec, Trigger, compile_rule

Spec = Callable[..., RuleSpec]
Due = Callable[..., list[str]]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def make_spec(
    trigger: Trigger,
    tz: str = "UTC",
    created_at: str = "2026-01-01",
    gap: str = "SHIFT",
    fold: str = "FIRST",
    **rest: Any,
) -> RuleSpec:
    return RuleSpec(trigger, tz, instant(created_at), DstPolicy(gap, fold), **rest)


@pytest.fixture
def spec() -> Spec:
    """Make a RuleSpec from a trigger, a zone and policies by name."""
    return make_spec


@pytest.fixture
def due() -> Due:
    """Return the next instants of a trigger as texts: `due(trigger, tz, after, count, **policies)`."""

    def ask(trigger: Trigger, tz: str, after: str, count: int = 3, **rest: Any) -> list[str]:
        rule = compile_rule(make_spec(trigger, tz, after, **rest))
        return [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in rule.instants(instant(after), count)]

    return ask
