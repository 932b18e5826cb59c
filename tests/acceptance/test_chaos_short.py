"""A short run of the chaos of `make chaos`: the same judge, the same faults, as long as a suite can bear."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.run import run

SEED = 4
SECONDS = 25


def teller() -> Callable[[str], None]:
    """Return what tells a failed test's reader what was broken when."""
    return lambda text: print(text, file=sys.stderr)  # noqa: T201 - pytest shows it with a failure only


@pytest.mark.timeout(180)
async def test_half_a_minute_of_faults_loses_nothing_and_breaks_no_promise(tmp_path: Path) -> None:
    verdict = await run(SEED, SECONDS, teller(), logs=tmp_path)
    assert verdict.broken_promises == []
    assert verdict.findings.defects == []
    assert verdict.passed, f"duplicates: {verdict.findings.duplicates:.2%}"
    assert len(verdict.faults) >= 8
