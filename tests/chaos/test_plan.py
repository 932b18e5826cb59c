"""Which fault when: repeatable, varied, and never two on one part."""

from itertools import pairwise

import pytest

from tests.chaos.plan import KINDS, plan_faults


def test_a_seed_means_the_same_faults_and_another_seed_means_others() -> None:
    assert plan_faults(7, 60) == plan_faults(7, 60)
    assert plan_faults(7, 60) != plan_faults(8, 60)


def test_a_longer_run_begins_as_a_shorter_one_does() -> None:
    short = plan_faults(7, 30)
    assert plan_faults(7, 90)[: len(short)] == short


@pytest.mark.parametrize("seed", range(20))
def test_a_minute_has_faults_of_at_least_twelve_kinds_and_gaps_of_about_two_seconds(seed: int) -> None:
    faults = plan_faults(seed, 60)
    assert len({fault.kind for fault in faults}) >= 12
    assert max(after.at - before.at for before, after in pairwise(faults)) <= 6


@pytest.mark.parametrize("seed", range(20))
def test_no_part_has_two_faults_at_a_time(seed: int) -> None:
    mended: dict[str, float] = {}
    for fault in plan_faults(seed, 300):
        assert fault.at >= mended.get(fault.part, 0)
        mended[fault.part] = fault.at + fault.seconds


def test_a_long_run_has_every_kind() -> None:
    assert {fault.kind for fault in plan_faults(1, 300)} == set(KINDS)
