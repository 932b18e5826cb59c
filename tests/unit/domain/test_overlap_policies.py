"""Whose turn it is, for every policy and every place in the line."""

import pytest

from scheduler_domain.domain.overlap import Turn, turn_of
from scheduler_domain.domain.schedule import Overlap

START, WAIT, SKIP = Turn.START, Turn.WAIT, Turn.SKIP
POLICIES: tuple[Overlap, ...] = ("ALLOW_ALL", "SKIP", "BUFFER_ONE", "BUFFER_ALL")


@pytest.mark.parametrize(
    ("policy", "behind_none", "behind_one", "behind_more"),
    [
        ("ALLOW_ALL", START, START, START),
        ("SKIP", START, SKIP, SKIP),
        ("BUFFER_ONE", START, WAIT, SKIP),
        ("BUFFER_ALL", START, WAIT, WAIT),
    ],
)
def test_the_policy_decides_by_how_many_are_ahead(
    policy: Overlap, behind_none: Turn, behind_one: Turn, behind_more: Turn
) -> None:
    turns = [turn_of(policy, ahead, has_started=False, is_requested=False) for ahead in (0, 1, 2)]
    assert turns == [behind_none, behind_one, behind_more]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_has_started_goes_on_whoever_stands_ahead(policy: Overlap) -> None:
    assert {turn_of(policy, 2, has_started=True, is_requested=asked) for asked in (True, False)} == {START}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_asked_for_again_waits_and_is_never_skipped(policy: Overlap) -> None:
    wanted = START if policy == "ALLOW_ALL" else WAIT
    assert {turn_of(policy, ahead, has_started=False, is_requested=True) for ahead in (1, 2)} == {wanted}
