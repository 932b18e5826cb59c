"""Defects of templates are found: instances lost or left, rules of before, a day that is greeted twice."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.chaos.clean_history import (
    BEGAN,
    HORIZON,
    created,
    delivery,
    kinds,
    row,
    with_delivery,
    with_row,
    without_delivery,
    without_row,
)
from tests.chaos.history import Action, Change, Every, History, Instance, Once, Story

DAY = 86_400


def instance(story: Story) -> Story:
    return replace(story, instance=("template", story.schedule_id))


BEAT = instance(created("beat", Every(0, 2), Change(Action.REPLANNED, BEGAN + 20.5, BEGAN + 26.5, Every(1, 2))))
GREETED = instance(
    created("greeted", Once(BEGAN + 10), Change(Action.REPLANNED, BEGAN + 30, BEGAN + 31, Once(BEGAN + DAY)))
)
DOUBTFUL = instance(
    created("doubtful", Once(BEGAN + 10), Change(Action.REPLANNED, BEGAN + 9, BEGAN + 11, Once(BEGAN + 20, False)))
)
MADE_ANEW = instance(created("made-anew", Every(0, 5), Change(Action.DELETED, BEGAN + 40.2, BEGAN + 40.4)))


def told() -> History:
    due = [(BEAT, BEGAN + second) for second in (*range(0, 21, 2), *range(27, 101, 2))]
    due += [(GREETED, BEGAN + 10), (DOUBTFUL, BEGAN + 20)]
    due += [(MADE_ANEW, BEGAN + second) for second in range(0, 41, 5)]
    stories = [BEAT, GREETED, DOUBTFUL, MADE_ANEW]
    return History(
        stories=stories,
        deliveries=[delivery(story, at) for story, at in due],
        ledger=[row(story, at) for story, at in due],
        queued=[],
        horizon=HORIZON,
        instances=[stored(story) for story in stories if not story.is_deleted],
    )


def stored(story: Story, schedule_id: str | None = None) -> Instance:
    return Instance(story.tenant_id, "template", story.schedule_id, schedule_id or story.schedule_id)


def test_instances_that_kept_to_their_parameters_pass() -> None:
    assert kinds(told()) == set()


def test_while_a_template_changes_an_instance_may_follow_either_version() -> None:
    for second in (21, 22, 23, 24, 25, 26):
        at = BEGAN + second
        assert kinds(with_row(with_delivery(told(), delivery(BEAT, at)), row(BEAT, at))) == set()


@pytest.mark.parametrize("second", [10, 20])
def test_of_a_greeting_that_was_moved_as_it_was_due_one_of_the_two_may_be_missing(second: int) -> None:
    history = without_row(without_delivery(told(), DOUBTFUL, BEGAN + 20), DOUBTFUL, BEGAN + 20)
    at = BEGAN + second
    assert kinds(with_row(with_delivery(history, delivery(DOUBTFUL, at)), row(DOUBTFUL, at))) == set()


def fired(story: Story, at: float) -> Callable[[History], History]:
    return lambda history: with_row(with_delivery(history, delivery(story, at)), row(story, at))


PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    "an instance that was applied and is not stored": (
        "instance-lost",
        lambda history: replace(history, instances=[stored(GREETED), stored(DOUBTFUL)]),
    ),
    "an instance that stands for another schedule": (
        "instance-lost",
        lambda history: replace(history, instances=[stored(BEAT, "other"), stored(GREETED), stored(DOUBTFUL)]),
    ),
    "an instance that was deleted and is still stored": (
        "instance-left",
        lambda history: replace(history, instances=[*history.instances, stored(MADE_ANEW)]),
    ),
    "an instance that fires after it was deleted": ("unexpected", fired(MADE_ANEW, BEGAN + 50)),
    "an instance that has not followed its template": ("unexpected", fired(BEAT, BEGAN + 60)),
    "an instance that fires nothing of its template's new version": (
        "missing",
        lambda history: without_row(without_delivery(history, BEAT, BEGAN + 61), BEAT, BEGAN + 61),
    ),
    "a second greeting on one day": ("unexpected", fired(GREETED, BEGAN + 40)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    assert kind in kinds(plant(told()))
