"""The right to call back, and how a callback is taken."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scheduler_domain.domain.callback import (
    ACCEPTED,
    Callback,
    CallbackRight,
    Expectation,
    Reply,
    callback_token,
    no_callback,
    outcome_of,
    reply_by_history,
    reply_while_unfinished,
    right_of,
)
from scheduler_domain.domain.headers import header_problems
from scheduler_domain.domain.occurrence import Attempt, Occurrence, OccurrenceKind, Status
from scheduler_domain.domain.outcome import Delivered, Unreachable

KEY = bytes(range(32))
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
RIGHT = CallbackRight("acme", UUID(int=1), UUID(int=2), attempt=1)
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)


@given(TENANTS, st.uuids(), st.uuids(), st.integers(1, 32_767), st.binary(min_size=32, max_size=32))
def test_a_token_gives_the_right_it_was_made_for_and_fits_a_header(
    tenant: str, schedule: UUID, occurrence: UUID, attempt: int, key: bytes
) -> None:
    right = CallbackRight(tenant, schedule, occurrence, attempt)
    token = callback_token(key, right)
    assert right_of(key, token, occurrence) == right
    assert list(header_problems({"X-Token": token}, "")) == []


@given(st.data())
def test_a_token_with_any_character_changed_gives_nothing(data: st.DataObject) -> None:
    token = callback_token(KEY, RIGHT)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    assert right_of(KEY, token[:place] + other + token[place + 1 :], RIGHT.occurrence_id) is None


def test_a_token_opens_no_other_occurrence_and_no_other_installation() -> None:
    token = callback_token(KEY, RIGHT)
    assert right_of(KEY, token, UUID(int=3)) is None
    assert right_of(bytes(32), token, RIGHT.occurrence_id) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "acme",
        "acme...",
        f"acme.{'0' * 32}.1.",
        f"acme.{'0' * 32}.0.{'A' * 43}",
        f"acme.{'0' * 32}.1.{'A' * 43}",
        "ü",
    ],
)
def test_what_is_no_token_gives_nothing(text: str) -> None:
    assert right_of(KEY, text, RIGHT.occurrence_id) is None


def test_a_callback_is_the_outcome_of_its_attempt() -> None:
    assert outcome_of(Callback(succeeded=True, message="42 rows", called_at=NOW)) == Delivered(ACCEPTED, "42 rows")
    assert outcome_of(Callback(succeeded=False, message="no", called_at=NOW)) == Unreachable("no", ACCEPTED)
    assert no_callback(1.5).error == "no callback within 1.5 s"


def unfinished(*, is_awaited: bool, said: bool | None) -> Expectation:
    return Expectation(is_awaited, is_accepted=is_awaited, said=said, attempt=2)


@pytest.mark.parametrize(
    ("expectation", "after_success", "after_failure"),
    [
        (unfinished(is_awaited=True, said=None), Reply.NOTED, Reply.NOTED),
        (unfinished(is_awaited=True, said=True), Reply.KNOWN, Reply.CONTRADICTED),
        (unfinished(is_awaited=False, said=False), Reply.CONTRADICTED, Reply.KNOWN),
        (unfinished(is_awaited=False, said=None), None, None),
    ],
)
def test_what_is_said_first_counts(
    expectation: Expectation, after_success: Reply | None, after_failure: Reply | None
) -> None:
    assert reply_while_unfinished(expectation, succeeded=True, attempt=2) is after_success
    assert reply_while_unfinished(expectation, succeeded=False, attempt=2) is after_failure


def test_a_failure_counts_for_its_own_attempt_and_success_by_any() -> None:
    awaited = unfinished(is_awaited=True, said=None)
    assert reply_while_unfinished(awaited, succeeded=False, attempt=1) is None
    assert reply_while_unfinished(awaited, succeeded=True, attempt=1) is Reply.NOTED


def occurrence(status: Status, *attempts: Attempt) -> Occurrence:
    return Occurrence(
        id=RIGHT.occurrence_id,
        tenant_id="acme",
        schedule_id=RIGHT.schedule_id,
        kind=OccurrenceKind.SCHEDULED,
        scheduled_for=NOW,
        due_at=NOW,
        status=status,
        reason=None,
        attempts=list(attempts),
        next_attempt_at=None,
        completed_at=None,
        lateness_ms=None,
        trace_id=None,
        revision=1,
    )


CALLED_FAILED = Attempt(1, NOW, 5, "FAILED", ACCEPTED, "no space left")
NEVER_CALLED = Attempt(1, NOW, 5, "FAILED", None, "no callback within 15 s")
CALLED_DONE = Attempt(1, NOW, 5, "DELIVERED", ACCEPTED)
THEN_DONE = replace(CALLED_DONE, number=2)
THEN_SILENT = replace(NEVER_CALLED, number=2)


@pytest.mark.parametrize(
    ("known", "after_success", "after_failure"),
    [
        (occurrence(Status.COMPLETED, CALLED_DONE), Reply.KNOWN, Reply.CONTRADICTED),
        (occurrence(Status.FAILED, CALLED_FAILED), Reply.CONTRADICTED, Reply.KNOWN),
        (occurrence(Status.PENDING, CALLED_FAILED), Reply.CONTRADICTED, Reply.KNOWN),
        (occurrence(Status.PENDING, NEVER_CALLED), Reply.NOT_AWAITED, Reply.NOT_AWAITED),
        (occurrence(Status.FAILED, NEVER_CALLED), Reply.NOT_AWAITED, Reply.NOT_AWAITED),
        (occurrence(Status.CANCELLED), Reply.NOT_AWAITED, Reply.NOT_AWAITED),
        (occurrence(Status.COMPLETED, CALLED_FAILED, THEN_DONE), Reply.KNOWN, Reply.KNOWN),
        (occurrence(Status.COMPLETED, NEVER_CALLED, THEN_DONE), Reply.KNOWN, Reply.NOT_AWAITED),
        (occurrence(Status.PENDING, CALLED_FAILED, THEN_SILENT), Reply.CONTRADICTED, Reply.KNOWN),
    ],
)
def test_saying_again_what_is_known_is_no_error_and_all_else_comes_too_late(
    known: Occurrence, after_success: Reply, after_failure: Reply
) -> None:
    assert reply_by_history(known, succeeded=True, attempt=1) is after_success
    assert reply_by_history(known, succeeded=False, attempt=1) is after_failure
