"""Retries: full jitter below an exponential bound, within a count and an age."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_domain.domain.retry import next_attempt_at
from scheduler_domain.domain.schedule import Retry

DUE = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10), (3, 20), (8, 640), (11, 3600)])
def test_the_bound_doubles_up_to_the_longest_delay(attempt: int, seconds: int) -> None:
    assert next_attempt_at(Retry(), attempt, DUE, DUE, jitter=1.0) == DUE + timedelta(seconds=seconds)


def test_jitter_spreads_from_at_once_to_the_bound() -> None:
    assert next_attempt_at(Retry(), 1, DUE, DUE, jitter=0.0) == DUE
    assert next_attempt_at(Retry(), 1, DUE, DUE, jitter=0.5) == DUE + timedelta(seconds=2.5)


def test_the_last_attempt_has_no_next() -> None:
    assert next_attempt_at(Retry(max_attempts=3), 3, DUE, DUE, jitter=0.1) is None


def test_nothing_is_tried_past_its_age() -> None:
    policy = Retry(max_age_sec=60)
    assert next_attempt_at(policy, 1, DUE, DUE + timedelta(seconds=59), jitter=0.9) is None


@pytest.mark.parametrize(("asked", "granted"), [(0, 1), (30, 30), (86_400, 3_600)])
def test_retry_after_is_honoured_between_a_second_and_an_hour(asked: int, granted: int) -> None:
    at = next_attempt_at(Retry(), 1, DUE, DUE, jitter=0.0, retry_after=timedelta(seconds=asked))
    assert at == DUE + timedelta(seconds=granted)


def test_a_huge_factor_does_not_overflow() -> None:
    policy = Retry(factor=10, max_attempts=100)
    assert next_attempt_at(policy, 99, DUE, DUE, jitter=1.0) == DUE + timedelta(hours=1)
