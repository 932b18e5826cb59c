"""The judge finds each kind of defect when it is planted, and lets a clean history pass."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check
from tests.chaos.clean_history import (
    BEGAN,
    CHAIN,
    DELETED,
    EDITED,
    EVERY_SECOND,
    ONE_SHOT,
    PAUSED,
    clean,
    created,
    delivery,
    instants,
    key,
    kinds,
    row,
    swapped,
    with_delivery,
    with_row,
    without_delivery,
    without_row,
)
from tests.chaos.history import Absence, Action, Chain, Change, Every, History, Queued


def test_a_clean_history_passes() -> None:
    findings = check(clean())
    assert findings.defects == []
    assert findings.passed
    assert findings.counts["expected"] == sum(len(instants(story)) for story in clean().stories)
    assert findings.lateness[-1] == pytest.approx(0.01, abs=0.001)


PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    "an instant of which nothing is left": (
        "missing",
        lambda history: without_row(without_delivery(history, EVERY_SECOND, BEGAN + 7), EVERY_SECOND, BEGAN + 7),
    ),
    "a one-shot of which nothing is left": (
        "missing",
        lambda history: without_row(without_delivery(history, ONE_SHOT, BEGAN + 30), ONE_SHOT, BEGAN + 30),
    ),
    "a delivery removed, though the ledger says it was made": (
        "lost",
        lambda history: without_delivery(history, EVERY_SECOND, BEGAN + 7),
    ),
    "a delivery that the target only refused": (
        "lost",
        lambda history: swapped(history, EVERY_SECOND, BEGAN + 7, accepted=False),
    ),
    "a delivery without a row": ("unrecorded", lambda history: without_row(history, DELETED, BEGAN + 7)),
    "an occurrence left in the queue": (
        "stuck",
        lambda history: replace(
            without_row(without_delivery(history, EVERY_SECOND, BEGAN + 7), EVERY_SECOND, BEGAN + 7),
            queued=[Queued(key(EVERY_SECOND, BEGAN + 7), "every-second", "SCHEDULED", BEGAN + 7)],
        ),
    ),
    "a delivery 60 ms early": (
        "early",
        lambda history: swapped(history, EVERY_SECOND, BEGAN + 7, arrived_at=BEGAN + 6.94),
    ),
    "an attempt started before its instant": (
        "early",
        lambda history: swapped(history, EVERY_SECOND, BEGAN + 7, fired_at=BEGAN + 6.9),
    ),
    "an attempt after an acknowledged delete": (
        "after-change",
        lambda history: swapped(history, DELETED, BEGAN + 49, fired_at=BEGAN + 49.5),
    ),
    "an attempt after an acknowledged pause": (
        "after-change",
        lambda history: swapped(history, PAUSED, BEGAN + 20, fired_at=BEGAN + 30),
    ),
    "an instant after a delete": (
        "unexpected",
        lambda history: with_row(with_delivery(history, delivery(DELETED, BEGAN + 60)), row(DELETED, BEGAN + 60)),
    ),
    "an instant of the rule before an edit": (
        "unexpected",
        lambda history: with_row(with_delivery(history, delivery(EDITED, BEGAN + 60)), row(EDITED, BEGAN + 60)),
    ),
    "an instant that was never due": (
        "unexpected",
        lambda history: with_row(with_delivery(history, delivery(PAUSED, BEGAN + 3)), row(PAUSED, BEGAN + 3)),
    ),
    "a schedule that nobody created": (
        "unexpected",
        lambda history: with_delivery(history, replace(delivery(DELETED, BEGAN + 3), schedule_id="x", key="y")),
    ),
    "a retry under another key": (
        "key-differs",
        lambda history: with_delivery(history, replace(delivery(EVERY_SECOND, BEGAN + 7), key="another")),
    ),
    "two occurrences under one key": (
        "key-shared",
        lambda history: swapped(history, EVERY_SECOND, BEGAN + 8, key=key(EVERY_SECOND, BEGAN + 7)),
    ),
    "two rows for one instant": (
        "recorded-twice",
        lambda history: replace(history, ledger=[*history.ledger, replace(row(EVERY_SECOND, BEGAN + 7), id="another")]),
    ),
    "a dead letter": (
        "failed",
        lambda history: with_row(history, row(EVERY_SECOND, BEGAN + 7, "FAILED", "retries-exhausted")),
    ),
    "a cancellation that no change explains": (
        "unexplained",
        lambda history: with_row(history, row(EVERY_SECOND, BEGAN + 7, "CANCELLED", "schedule-paused")),
    ),
    "a cancellation after the pause was over": (
        "unexplained",
        lambda history: with_row(history, row(PAUSED, BEGAN + 70, "CANCELLED", "schedule-paused")),
    ),
    "a skip without a misfire": (
        "unexplained",
        lambda history: with_row(
            without_delivery(history, EVERY_SECOND, BEGAN + 7), row(EVERY_SECOND, BEGAN + 7, "SKIPPED", "overlap")
        ),
    ),
    "a misfire while a dispatcher was there": (
        "unexplained",
        lambda history: with_row(
            without_delivery(history, EVERY_SECOND, BEGAN + 7),
            row(EVERY_SECOND, BEGAN + 7, "SKIPPED", "misfire-coalesced"),
        ),
    ),
    "a misfire in whose place nothing fired": (
        "unexplained",
        lambda history: with_row(
            without_delivery(replace(history, absences=[Absence(BEGAN + 6.5, BEGAN + 7.5)]), EVERY_SECOND, BEGAN + 7),
            row(EVERY_SECOND, BEGAN + 7, "SKIPPED", "misfire-coalesced"),
        ),
    ),
    "a chain that stops": (
        "missing",
        lambda history: replace(history, ledger=[each for each in history.ledger if each.ended_at < BEGAN + 60]),
    ),
    "a chain that does not wait": ("early", lambda history: with_row(history, row(CHAIN, BEGAN + 11.5))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    assert kind in kinds(plant(clean()))
    assert not check(plant(clean())).passed


def test_a_manual_occurrence_that_was_accepted_has_to_be_there() -> None:
    history = clean()
    asked = replace(EVERY_SECOND, manual={"asked"})
    assert kinds(replace(history, stories=[asked, *history.stories[1:]])) == {"missing"}


def test_a_manual_occurrence_may_fire_in_a_pause() -> None:
    history = clean()
    at = BEGAN + 30.123456
    paused = replace(PAUSED, manual={key(PAUSED, at)})
    stories = [paused if story is PAUSED else story for story in history.stories]
    fired = with_row(with_delivery(history, delivery(PAUSED, at)), row(PAUSED, at, kind="MANUAL"))
    assert kinds(replace(fired, stories=stories)) == set()


def test_what_an_edit_a_pause_or_a_delete_withdrew_is_explained() -> None:
    history = clean()
    for story, second, reason in (
        (EDITED, 50, "schedule-changed"),
        (PAUSED, 20, "schedule-paused"),
        (DELETED, 49, "schedule-deleted"),
    ):
        at = BEGAN + second
        history = with_row(without_delivery(history, story, at), row(story, at, "CANCELLED", reason))
    assert kinds(history) == set()


def test_what_an_edit_withdrew_ahead_of_its_instant_may_leave_a_row_but_nothing_that_the_new_rule_names() -> None:
    """Whoever held it was silent until after the instant."""
    history = clean()
    assert kinds(with_row(history, row(EDITED, BEGAN + 52, "CANCELLED", "schedule-changed"))) == set()
    named = without_delivery(history, EDITED, BEGAN + 56)
    assert kinds(with_row(named, row(EDITED, BEGAN + 56, "CANCELLED", "schedule-changed"))) == {"unexplained"}


def test_what_an_edit_withdrew_is_no_link_of_a_chain() -> None:
    history = clean()
    edited = replace(CHAIN, changes=[*CHAIN.changes, Change(Action.REPLANNED, BEGAN + 11, BEGAN + 13, Chain(10))])
    stories = [edited if story is CHAIN else story for story in history.stories]
    withdrawn = with_row(replace(history, stories=stories), row(CHAIN, BEGAN + 12, "CANCELLED", "schedule-changed"))
    assert kinds(withdrawn) == set()


@pytest.mark.parametrize(("fired", "found"), [([11.5], set()), ([11.5, 12.5], {"early"}), ([14.0], {"early"})])
def test_one_link_of_the_old_plan_may_fire_until_an_edit_is_answered(fired: list[float], found: set[str]) -> None:
    history = clean()
    edited = replace(CHAIN, changes=[*CHAIN.changes, Change(Action.REPLANNED, BEGAN + 11, BEGAN + 13, Chain(10))])
    history = replace(history, stories=[edited if story is CHAIN else story for story in history.stories])
    for second in fired:
        history = with_row(with_delivery(history, delivery(CHAIN, BEGAN + second)), row(CHAIN, BEGAN + second))
    assert kinds(history) == found


@pytest.mark.parametrize(("sent", "found"), [(9, set()), (11, {"early"})])
def test_a_new_plan_does_not_wait_for_a_link_that_fired_until_the_edit_was_answered(sent: int, found: set[str]) -> None:
    history = clean()
    edited = replace(CHAIN, changes=[*CHAIN.changes, Change(Action.REPLANNED, BEGAN + sent, BEGAN + 13, Chain(4))])
    history = replace(history, stories=[edited if story is CHAIN else story for story in history.stories])
    history = with_row(with_delivery(history, delivery(CHAIN, BEGAN + 13.5)), row(CHAIN, BEGAN + 13.5))
    assert kinds(history) == found


def test_a_misfire_in_an_absence_is_explained_and_a_refused_attempt_is_no_duplicate() -> None:
    history = replace(clean(), absences=[Absence(BEGAN + 5.5, BEGAN + 8.5)])
    history = with_row(
        without_delivery(history, EVERY_SECOND, BEGAN + 7), row(EVERY_SECOND, BEGAN + 7, "SKIPPED", "misfire-coalesced")
    )
    history = with_delivery(history, replace(delivery(EVERY_SECOND, BEGAN + 8), accepted=False))
    assert check(history).passed
    assert check(history).counts["duplicates"] == 0


def test_a_few_duplicates_pass_and_more_do_not() -> None:
    history = clean()
    distinct = check(history).counts["delivered"]
    few = replace(history, deliveries=history.deliveries + history.deliveries[: distinct // 50])
    many = replace(history, deliveries=history.deliveries + history.deliveries[: distinct // 50 + 1])
    assert check(few).defects == check(many).defects == []
    assert check(few).passed
    assert not check(many).passed


def test_an_instant_while_a_change_is_under_way_may_fire_or_not() -> None:
    slow = created("slow", Every(0, 1), Change(Action.DELETED, BEGAN + 49.2, BEGAN + 55.4))
    history = clean()
    for last in (49, 52, 55):
        due = [BEGAN + second for second in range(-1, last + 1)]
        told = replace(
            history,
            stories=[slow],
            deliveries=[delivery(slow, at) for at in due],
            ledger=[row(slow, at) for at in due],
        )
        assert kinds(told) == set()
