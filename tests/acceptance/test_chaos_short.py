"""A short run of the chaos of `make chaos`: the same judge, the same faults, as long as a suite can bear."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.run import run

SEED = 4
SECONDS = 20
MOST_DUPLICATES = 0.1
"""More than in a long run: on a busy machine a server recovers for longer than a lease, which weighs here."""


def teller() -> Callable[[str], None]:
    """Return what tells a failed test's reader what was broken when."""
    return lambda text: print(text, file=sys.stderr)  # noqa: T201 - pytest shows it with a failure only


@pytest.mark.timeout(180)
async def test_twenty_seconds_of_faults_lose_nothing_and_break_no_promise(tmp_path: Path) -> None:
    verdict = await run(SEED, SECONDS, teller(), logs=tmp_path)
    assert verdict.broken_promises == []
    assert verdict.findings.defects == []
    assert verdict.findings.duplicates <= MOST_DUPLICATES
    assert len(verdict.faults) >= 8
