"""A hostile rule costs nothing: no call takes more than 50 ms of CPU, whatever it is asked."""

import pytest

from scheduler_domain.domain.triggers import DstPolicy, Exclusions
from tests.unit.triggers.hostile import EXCLUSIONS, HOSTILE, LIMIT_SECONDS, POLICIES, slowest_call


@pytest.mark.parametrize("exclude", EXCLUSIONS, ids=["kept", "excluded"])
@pytest.mark.parametrize("dst", POLICIES, ids=lambda dst: f"{dst.gap}-{dst.fold}")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_rule_is_answered_or_refused_in_50_ms(name: str, dst: DstPolicy, exclude: Exclusions | None) -> None:
    # one of five tries is enough: a machine that is busy with something else slows a call down, nothing speeds one up
    assert any(slowest_call(HOSTILE[name], dst, exclude) < LIMIT_SECONDS for _ in range(5))
