"""Defects of runs by hand, backfills and replays are found; what they allow passes."""

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
from tests.chaos.history import Action, Backfill, Change, Delivery, Every, History, Queued, Recorded, Replay, Story

RULE = Every(0, 10)
PAUSE = (Change(Action.PAUSED, BEGAN + 20.5, BEGAN + 20.6), Change(Action.RESUMED, BEGAN + 60.5, BEGAN + 60.6))
PLANNED = [BEGAN + second for second in (0, 10, 20, 70, 80, 90, 100)]
DEAD, ALIVE_AGAIN = PLANNED[1], PLANNED[2]
REPLAYED_AT = BEGAN + 30.0

# Of the three instants one was delivered, and two were never planned.
ASKED = Backfill(RULE, BEGAN + 15, BEGAN + 50, BEGAN + 50.1, BEGAN + 50.3, created=2, present=1, unplanned=0)
MADE_UP = (BEGAN + 30, BEGAN + 40)
BACKFILLED = replace(created("backfilled", RULE, *PAUSE), backfills=[ASKED])
BY_HAND = replace(created("by-hand", RULE, *PAUSE), manual={f"by-hand-{BEGAN + 33.3}"})
FRAGILE = replace(
    created("fragile", RULE, *PAUSE),
    most_attempts=2,
    replays=[Replay(f"fragile-{ALIVE_AGAIN}", REPLAYED_AT, REPLAYED_AT + 0.2)],
)


def made_up(at: float, status: str = "COMPLETED", reason: str | None = None) -> Recorded:
    made = row(BACKFILLED, at, status, reason, "BACKFILL")
    return replace(made, id=f"made-up-{at}", ended_at=BEGAN + 50.5)


def attempt(story: Story, at: float, fired_at: float, *, accepted: bool = True) -> Delivery:
    return replace(delivery(story, at), fired_at=fired_at, arrived_at=fired_at + 0.01, accepted=accepted)


def made_up_attempt(at: float, fired_at: float = BEGAN + 50.4) -> Delivery:
    return replace(attempt(BACKFILLED, at, fired_at), key=f"made-up-{at}")


def told() -> History:
    deliveries = [delivery(story, at) for story in (BACKFILLED, BY_HAND) for at in PLANNED]
    deliveries += [delivery(FRAGILE, at) for at in PLANNED if at not in {DEAD, ALIVE_AGAIN}]
    deliveries += [attempt(FRAGILE, at, at + later, accepted=False) for at in (DEAD, ALIVE_AGAIN) for later in (0, 0.4)]
    deliveries += [attempt(FRAGILE, ALIVE_AGAIN, REPLAYED_AT + 0.1), delivery(BY_HAND, BEGAN + 33.3)]
    deliveries += [made_up_attempt(at) for at in MADE_UP]
    ledger = [row(story, at) for story in (BACKFILLED, BY_HAND, FRAGILE) for at in PLANNED]
    ledger += [made_up(at) for at in MADE_UP]
    ledger += [row(BY_HAND, BEGAN + 33.3, kind="MANUAL")]
    history = History([BACKFILLED, BY_HAND, FRAGILE], deliveries, ledger, [], HORIZON)
    return with_row(history, row(FRAGILE, DEAD, "FAILED", "retries-exhausted"))


def asked(story: Story, **fields: object) -> Callable[[History], History]:
    def plant(history: History) -> History:
        return replace(history, stories=[replace(it, **fields) if it is story else it for it in history.stories])

    return plant


def counted(**fields: int) -> Callable[[History], History]:
    return asked(BACKFILLED, backfills=[replace(ASKED, **fields)])


def without_made_up(history: History, at: float) -> History:
    id_ = made_up(at).id
    ledger = [it for it in history.ledger if it.id != id_]
    return replace(history, ledger=ledger, deliveries=[it for it in history.deliveries if it.key != id_])


def test_what_was_asked_for_and_came_passes() -> None:
    assert kinds(told()) == set()


def test_a_backfill_that_a_later_pause_withdrew_is_explained_and_one_before_it_is_not() -> None:
    later = Change(Action.PAUSED, BEGAN + 65, BEGAN + 66), Change(Action.RESUMED, BEGAN + 67, BEGAN + 68)
    withdrawn = with_row(without_made_up(told(), MADE_UP[0]), made_up(MADE_UP[0], "CANCELLED", "schedule-paused"))
    assert kinds(withdrawn) == {"unexplained"}
    assert kinds(asked(BACKFILLED, changes=[*BACKFILLED.changes, *later])(withdrawn)) == set()


def test_what_the_planner_was_behind_with_is_its_own_business() -> None:
    history = without_made_up(told(), MADE_UP[1])
    assert kinds(counted(created=1, unplanned=1)(history)) == set()


def test_a_bulk_replay_lets_a_dead_letter_pass_that_it_did_not_list() -> None:
    history = with_delivery(told(), attempt(FRAGILE, DEAD, REPLAYED_AT + 0.1))
    history = with_row(history, row(FRAGILE, DEAD))
    assert kinds(history) == {"after-change"}
    replays = [*FRAGILE.replays, Replay(None, REPLAYED_AT, REPLAYED_AT + 0.2)]
    assert kinds(asked(FRAGILE, replays=replays)(history)) == set()


PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    "a run by hand that nobody asked for": ("unexpected", asked(BY_HAND, manual=set())),
    "a run by hand that a pause withdrew": (
        "unexplained",
        lambda history: with_row(history, row(BY_HAND, BEGAN + 33.3, "CANCELLED", "schedule-paused", "MANUAL")),
    ),
    "a backfill of which nothing is left": ("missing", lambda history: without_made_up(history, MADE_UP[0])),
    "a backfill that made less than it said": ("missing", counted(created=3, present=0)),
    "a backfill that passed an instant by": ("backfill-count", counted(created=1)),
    "a backfill that made more than it said": ("backfill-count", counted(created=1, present=2)),
    "a backfill beside what was asked for": (
        "unexpected",
        lambda history: with_row(with_delivery(history, made_up_attempt(BEGAN + 10)), made_up(BEGAN + 10)),
    ),
    "a backfill of what had run": (
        "backfilled-again",
        lambda history: with_row(
            with_delivery(
                asked(BACKFILLED, changes=BACKFILLED.changes[:1], backfills=[replace(ASKED, created=3, present=0)])(
                    history
                ),
                made_up_attempt(BEGAN + 20),
            ),
            made_up(BEGAN + 20),
        ),
    ),
    "a backfill that was recorded and never arrived": (
        "lost",
        lambda history: with_row(without_made_up(history, MADE_UP[0]), made_up(MADE_UP[0])),
    ),
    "a backfill that waits for nobody": (
        "stuck",
        lambda history: replace(
            without_made_up(history, MADE_UP[0]),
            queued=[Queued(made_up(MADE_UP[0]).id, "backfilled", "BACKFILL", MADE_UP[0])],
        ),
    ),
    "a backfill of before a pause that started in it": (
        "after-change",
        asked(BACKFILLED, backfills=[replace(ASKED, sent_at=BEGAN + 19.0)]),
    ),
    "a backfill that a new rule ended": (
        "unexplained",
        lambda history: with_row(
            asked(
                BACKFILLED,
                changes=[*BACKFILLED.changes, Change(Action.REPLANNED, BEGAN + 99.1, BEGAN + 99.2, RULE)],
            )(history),
            made_up(MADE_UP[0], "CANCELLED", "schedule-changed"),
        ),
    ),
    "a dead letter that was given up before its last attempt": (
        "failed",
        lambda history: replace(history, deliveries=[it for it in history.deliveries if it.fired_at != DEAD + 0.4]),
    ),
    "a dead letter that was replayed and not tried": (
        "failed",
        lambda history: with_row(history, row(FRAGILE, ALIVE_AGAIN, "FAILED", "retries-exhausted")),
    ),
    "a replay of which nothing is left": (
        "missing",
        lambda history: without_row(without_delivery(history, FRAGILE, ALIVE_AGAIN), FRAGILE, ALIVE_AGAIN),
    ),
    "a dead letter that started in a pause and was not replayed in it": ("after-change", asked(FRAGILE, replays=[])),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    assert kind in kinds(plant(told()))
