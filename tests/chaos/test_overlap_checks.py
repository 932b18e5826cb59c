"""Defects of overlap policies are found; what waits, is skipped for a reason or is heard twice passes."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.chaos.clean_history import BEGAN, HORIZON, created, delivery, key, kinds, row, with_delivery, with_row
from tests.chaos.history import Action, Change, Every, History, Once, Recorded, Story

RULE = Every(0, 20)
SKIPS = replace(created("skips", RULE), overlap="SKIP")
WAITS = replace(created("waits", RULE), overlap="BUFFER_ALL")
ONE_WAITS = replace(created("one-waits", RULE), overlap="BUFFER_ONE")
ALLOWS = created("allows", Once(BEGAN + 30))
LINE = [BEGAN + second for second in (0, 20, 40, 60, 80, 100)]


def ran(history: History, story: Story, at: float, began: float, ended: float) -> History:
    """Let the occurrence run then, instead of at its instant."""
    attempt = replace(delivery(story, at), fired_at=began, arrived_at=began + 0.005, answered_at=ended - 0.01)
    others = [it for it in history.deliveries if it.key != attempt.key]
    done = replace(row(story, at), ended_at=ended)
    return with_row(replace(history, deliveries=[*others, attempt]), done)


def skipped(history: History, story: Story, at: float, kind: str = "SCHEDULED") -> History:
    others = [it for it in history.deliveries if it.key != key(story, at)]
    return with_row(replace(history, deliveries=others), row(story, at, "SKIPPED", "overlap", kind))


def told() -> History:
    stories = [SKIPS, WAITS, ONE_WAITS, ALLOWS]
    due = [(story, at) for story in stories[:3] for at in LINE] + [(ALLOWS, BEGAN + 30)]
    history = History(stories, [delivery(*it) for it in due], [row(*it) for it in due], [], HORIZON)
    for story in stories[:3]:
        history = ran(history, story, LINE[1], LINE[1] + 0.001, LINE[1] + 25.0)
    history = skipped(history, SKIPS, LINE[2])
    for story in (WAITS, ONE_WAITS):
        history = ran(history, story, LINE[2], LINE[1] + 25.1, LINE[2] + 6.0)
    return history


def test_one_at_a_time_passes() -> None:
    assert kinds(told()) == set()


def test_a_request_that_was_under_way_may_arrive_when_the_next_one_runs() -> None:
    late = replace(delivery(WAITS, LINE[1]), arrived_at=LINE[1] + 25.5)
    assert kinds(with_delivery(told(), late)) == set()


def test_what_a_change_withdrew_had_ended_with_it() -> None:
    history = ran(told(), WAITS, LINE[3], LINE[3] + 0.001, LINE[4] + 5.0)
    assert kinds(history) == {"overlap"}
    changes = [Change(Action.PAUSED, LINE[3] + 1, LINE[3] + 2), Change(Action.RESUMED, LINE[3] + 3, LINE[3] + 4)]
    paused = replace(WAITS, changes=[*WAITS.changes, *changes])
    assert kinds(replace(history, stories=[paused if it is WAITS else it for it in history.stories])) == set()


def test_one_that_waits_leaves_no_place_for_another() -> None:
    history = ran(told(), ONE_WAITS, LINE[1], LINE[1] + 0.001, LINE[3] + 1.0)
    history = ran(history, ONE_WAITS, LINE[2], LINE[3] + 1.1, LINE[3] + 2.0)
    assert kinds(skipped(history, ONE_WAITS, LINE[3])) == set()


def asked_for(at: float) -> Recorded:
    return row(SKIPS, at, "SKIPPED", "overlap", "BACKFILL")


PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    "two at once": (
        "overlap",
        lambda history: ran(history, WAITS, LINE[2], LINE[1] + 24.0, LINE[2] + 6.0),
    ),
    "one that starts within a long one": (
        "overlap",
        lambda history: ran(history, SKIPS, LINE[1], LINE[1] + 0.001, LINE[3] + 5.0),
    ),
    "an end before the answer": (
        "ended-early",
        lambda history: with_row(history, replace(row(WAITS, LINE[1]), ended_at=LINE[1] + 0.1)),
    ),
    "a skip though nothing was under way": (
        "unexplained",
        lambda history: skipped(history, SKIPS, LINE[4]),
    ),
    "a skip though one may wait": ("unexplained", lambda history: skipped(history, ONE_WAITS, LINE[2])),
    "a skip though all may wait": ("unexplained", lambda history: skipped(history, WAITS, LINE[2])),
    "a skip though overlap is allowed": ("unexplained", lambda history: skipped(history, ALLOWS, BEGAN + 30)),
    "a skip of what somebody asked for": ("unexplained", lambda history: with_row(history, asked_for(LINE[2]))),
    "a skip of what was delivered": (
        "unexplained",
        lambda history: with_delivery(history, delivery(SKIPS, LINE[2])),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    assert kind in kinds(plant(told()))
