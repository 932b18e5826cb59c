"""Defects of completion by callback are found; what a receiver may say, and when, passes."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check
from tests.chaos.clean_history import (
    BEGAN,
    HORIZON,
    created,
    delivery,
    key,
    kinds,
    row,
    with_delivery,
    with_row,
    without_row,
)
from tests.chaos.history import Action, Callback, Change, Delivery, Every, History, Recorded

STORY = replace(created("called-back", Every(0, 20)), awaits_callback=True, most_attempts=2)
DONE, FAILED_FIRST, SILENT_FIRST, TOO_LATE, NEVER, DONE_TOO = (BEGAN + 20 * number for number in range(6))


def attempt(at: float, after: float = 0.001) -> Delivery:
    return replace(delivery(STORY, at), fired_at=at + after, arrived_at=at + after + 0.005)


def said(at: float, after: float, *, succeeded: bool = True, was_taken: bool = True) -> Callback:
    return Callback(key(STORY, at), STORY.schedule_id, succeeded, at + after, at + after + 0.02, was_taken)


def ended(at: float, after: float, attempts: int = 1) -> Recorded:
    return replace(row(STORY, at), ended_at=at + after, attempts=attempts)


def told() -> History:
    given_up = replace(row(STORY, NEVER, "FAILED", "retries-exhausted"), ended_at=NEVER + 4.6, attempts=2)
    return History(
        stories=[STORY],
        deliveries=[
            attempt(DONE),
            *(attempt(FAILED_FIRST, after) for after in (0.001, 0.6)),
            *(attempt(SILENT_FIRST, after) for after in (0.001, 2.3)),
            *(attempt(TOO_LATE, after) for after in (0.001, 2.3)),
            *(attempt(NEVER, after) for after in (0.001, 2.3)),
            attempt(DONE_TOO),
        ],
        ledger=[
            ended(DONE, 0.41),
            ended(FAILED_FIRST, 0.9, 2),
            ended(SILENT_FIRST, 2.8, 2),
            ended(TOO_LATE, 3.1, 2),
            given_up,
            ended(DONE_TOO, 0.41),
        ],
        queued=[],
        horizon=HORIZON,
        callbacks=[
            said(DONE, 0.4),
            said(FAILED_FIRST, 0.3, succeeded=False),
            said(FAILED_FIRST, 0.89),
            said(SILENT_FIRST, 2.7),
            said(TOO_LATE, 3.0),
            said(DONE_TOO, 0.4),
        ],
    )


def without_calls(history: History, at: float) -> History:
    return replace(history, callbacks=[it for it in history.callbacks if it.key != key(STORY, at)])


def test_what_ended_as_it_was_called_back_passes_and_no_attempt_of_it_is_a_duplicate() -> None:
    assert kinds(told()) == set()
    assert check(told()).counts["duplicates"] == 0


def test_what_comes_again_while_its_receiver_is_at_work_is_a_duplicate() -> None:
    assert check(with_delivery(told(), attempt(DONE, 0.2))).counts["duplicates"] == 1


def test_a_word_that_was_not_taken_binds_nobody() -> None:
    late = said(NEVER, 6.0, was_taken=False)
    history = told()
    assert kinds(replace(history, callbacks=[*history.callbacks, late])) == set()


def test_an_attempt_that_did_not_come_through_is_a_reason_for_the_next() -> None:
    assert kinds(with_row(told(), ended(DONE, 0.41, 2))) == set()


def test_a_deletion_ends_what_was_called_back_a_moment_before() -> None:
    history = with_row(told(), row(STORY, DONE_TOO, "CANCELLED", "schedule-deleted"))
    assert kinds(history) == {"callback-lost", "unexplained"}
    deleted = replace(STORY, changes=[*STORY.changes, Change(Action.DELETED, DONE_TOO + 0.1, DONE_TOO + 0.5)])
    assert kinds(replace(history, stories=[deleted])) == set()


PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    "a completion that nobody called back": ("uncalled", lambda history: without_calls(history, DONE)),
    "a completion before it was called back": ("uncalled", lambda history: with_row(history, ended(DONE, 0.2))),
    "a completion by a word of failure": (
        "uncalled",
        lambda history: replace(
            without_calls(history, DONE),
            callbacks=[*without_calls(history, DONE).callbacks, said(DONE, 0.3, succeeded=False)],
        ),
    ),
    "a success that was taken and given up": (
        "callback-lost",
        lambda history: replace(history, callbacks=[*history.callbacks, said(NEVER, 2.9)]),
    ),
    "a success that was taken and has no row": (
        "callback-lost",
        lambda history: without_row(history, STORY, DONE),
    ),
    "a second attempt for which there was no reason": (
        "impatient",
        lambda history: with_row(with_delivery(history, attempt(DONE, 0.2)), ended(DONE, 0.41, 2)),
    ),
    "a dead letter before its last attempt": (
        "failed",
        lambda history: replace(history, deliveries=[it for it in history.deliveries if it.fired_at != NEVER + 2.3]),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    assert kind in kinds(plant(told()))
