"""What an outcome means for its occurrence."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from scheduler_domain.application.held_occurrence import DeliveryTerms, Gate, HeldOccurrence, chain_delay_sec
from scheduler_domain.application.ports.due_queue import Claimed, Ended, Postponed
from scheduler_domain.application.record_outcomes import decide
from scheduler_domain.domain.outcome import Accepted, Delivered, Outcome, Refused, Unreachable
from scheduler_domain.domain.schedule import CronTrigger, FixedDelayTrigger, Retry, Trigger
from scheduler_domain.domain.target import EventTarget

DUE = datetime(2026, 11, 22, 9, tzinfo=UTC)


def held(
    attempt_count: int = 0,
    trigger: Trigger = CronTrigger("* * * * *"),  # noqa: B008 - immutable
    retry: Retry = Retry(max_attempts=3),  # noqa: B008 - immutable
    kind: str = "SCHEDULED",
    replayed: tuple[datetime, int] | None = None,
) -> HeldOccurrence:
    requested_at, earlier_attempt_count = replayed or (None, 0)
    at, was_tried = DUE.timestamp(), attempt_count > 0
    claimed = Claimed(
        *("acme", UUID(int=1), UUID(int=2), kind, 1, DUE.timestamp(), at, at, 1, attempt_count, was_tried),
        *(False, "(0,1)", 1, "ACTIVE", None, requested_at, earlier_attempt_count),
    )
    delay_sec = chain_delay_sec(claimed, DeliveryTerms("n", trigger, EventTarget("t")))
    return HeldOccurrence(claimed, None, "NATS", "EVENT", retry, delay_sec, 0.0, 0.0)


def decided(item: HeldOccurrence, outcome: Outcome, jitter: float = 0.5) -> Ended | Postponed:
    return decide(item, outcome, DUE, DUE + timedelta(seconds=1), 1000, jitter)


def ended(item: HeldOccurrence, outcome: Outcome) -> Ended:
    result = decided(item, outcome)
    assert isinstance(result, Ended)
    return result


def postponed(item: HeldOccurrence, outcome: Outcome, jitter: float = 0.5) -> Postponed:
    result = decided(item, outcome, jitter)
    assert isinstance(result, Postponed)
    return result


def test_a_delivery_completes() -> None:
    assert ended(held(), Delivered()).status == "COMPLETED"


def test_a_refusal_fails_at_once_and_may_disable_the_schedule() -> None:
    result = ended(held(), Refused("410 Gone", status_code=410, disable=True))
    assert (result.status, result.reason, result.disabled_revision) == ("FAILED", "refused", 1)


def test_a_failure_is_tried_again_until_the_attempts_are_spent() -> None:
    assert postponed(held(0), Unreachable("no answer")).attempt_count == 1
    assert postponed(held(1), Unreachable("no answer")).attempt_count == 2
    spent = ended(held(2), Unreachable("no answer"))
    assert (spent.status, spent.reason, spent.error) == ("FAILED", "retries-exhausted", "no answer")


def test_waiting_for_a_broker_burns_no_attempt_however_long_it_takes() -> None:
    item = held(2)
    result = postponed(item, Unreachable("NATS is away", counts=False))
    assert (result.attempt_count, result.counts) == (2, False)


@pytest.mark.parametrize(("waited", "least", "most"), [(0, 0.5, 1), (20, 5, 10), (7_200, 30, 60)])
def test_a_short_outage_is_left_quickly_and_a_long_one_not_hammered(waited: int, least: float, most: float) -> None:
    item = held()
    now = DUE + timedelta(seconds=waited)
    for jitter in (0.0, 0.999):
        result = decide(item, Unreachable("away", counts=False), now, now, 0, jitter)
        assert isinstance(result, Postponed)
        assert timedelta(seconds=least) <= result.retry_at - now <= timedelta(seconds=most)


def test_the_end_of_an_occurrence_starts_the_delay_to_the_next_however_it_ended() -> None:
    chained = held(2, FixedDelayTrigger(60))
    ends_at = DUE + timedelta(seconds=1)
    for outcome in (Delivered(), Refused("no"), Unreachable("no answer")):
        assert ended(chained, outcome).next_due_at == ends_at + timedelta(seconds=60)


def test_a_run_by_hand_does_not_move_the_plan() -> None:
    assert ended(held(0, FixedDelayTrigger(60), kind="MANUAL"), Delivered()).next_due_at is None


def test_a_replay_has_all_its_attempts_and_its_whole_age_before_it_again() -> None:
    long_ago = DUE - timedelta(days=30)
    spent = held(2, retry=Retry(max_attempts=3, max_age_sec=60))
    spent.claimed = replace(spent.claimed, due_at=long_ago.timestamp())
    assert ended(spent, Unreachable("no answer")).reason == "retries-exhausted"
    spent.claimed = replace(spent.claimed, requested_at=DUE, earlier_attempt_count=2)
    again = postponed(spent, Unreachable("no answer"))
    assert again.attempt_count == 3, "numbers go on"
    assert again.retry_at <= DUE + timedelta(seconds=61)
    spent.claimed = replace(spent.claimed, attempt_count=4)
    assert ended(spent, Unreachable("no answer")).attempt_count == 5


def test_the_end_of_a_replay_begins_no_second_chain() -> None:
    item = held(1, FixedDelayTrigger(60), replayed=(DUE, 1))
    assert ended(item, Delivered()).next_due_at is None


def test_an_accepted_attempt_goes_on_until_its_callback_is_due_and_counts_only_then() -> None:
    result = postponed(held(1), Accepted(202, timedelta(seconds=15)))
    assert (result.awaits, result.counts, result.attempt_count) == (True, False, 1)
    assert result.retry_at == DUE + timedelta(seconds=1 + 15)  # from the 202, not from the request


def test_every_end_of_a_schedule_with_an_overlap_policy_frees_its_line() -> None:
    item = held(2)
    item.gate = Gate("SKIP", timeout_sec=15, withdrawn_for=None)
    for outcome in (Delivered(), Refused("no"), Unreachable("no answer")):
        assert ended(item, outcome).frees_line
        assert not ended(held(2), outcome).frees_line
