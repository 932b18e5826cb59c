"""A short run of the chaos of `make chaos`: the same judge, the same faults, as long as a suite can bear.

Defects and broken promises are forbidden as in a long run. Two demands are milder. Kinds of fault: a fault comes every
two seconds or so, so 20 s hold about ten of the 26 kinds, where a minute holds nearly all; 8 leave room for another
seed. Duplicates: up to a tenth, where a long run allows 2 % (`tests/chaos/checker.py`). In a short run one outage is a
large part of all deliveries, and the suite shares its processors with other tests, so that a server may recover for
longer than a lease.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.run import run

SEED = 4
SECONDS = 20
MOST_DUPLICATES = 0.1
FEWEST_KINDS = 8


def teller() -> Callable[[str], None]:
    """Return what tells a failed test's reader what was broken when."""
    return lambda text: print(text, file=sys.stderr)  # noqa: T201 - pytest shows it with a failure only


@pytest.mark.timeout(480)
async def test_twenty_seconds_of_faults_lose_nothing_and_break_no_promise(tmp_path: Path) -> None:
    verdict = await run(SEED, SECONDS, teller(), logs=tmp_path)
    assert verdict.broken_promises == []
    assert verdict.findings.defects == []
    assert verdict.findings.duplicates <= MOST_DUPLICATES
    assert len(verdict.faults) >= FEWEST_KINDS
