"""Circuits: when they open, who may ask whether the receiver is back, and what closes them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_domain.domain.circuit import (
    PROBE_JITTER,
    UNASKED_AFTER,
    WINDOW_SECONDS,
    Circuit,
    CircuitState,
    CircuitTerms,
    answered,
)
from scheduler_domain.domain.outcome import Accepted, Delivered, Outcome, Refused, Unreachable

TERMS = CircuitTerms()
ROUNDING = 1e-6
ANY, OTHER, THIRD, FOURTH = (UUID(int=number) for number in range(1, 5))
FIRST, LONGEST = TERMS.first_probe_after.total_seconds(), TERMS.longest_wait.total_seconds()


def taking(circuit: Circuit, ends: str, now: float = 0.0, every: float = 0.0) -> Circuit:
    """Let requests end one after the other: `+` is answered, `-` failed, `?` says nothing."""
    for number, end in enumerate(ends):
        at = now + number * every
        stretch = circuit.begin(at)
        circuit.end(stretch, is_answered={"+": True, "-": False, "?": None}[end], now=at, jitter=0.0)
    return circuit


def opened(now: float = 0.0) -> Circuit:
    return taking(Circuit(TERMS), "-" * 10, now)


def probed(circuit: Circuit, now: float, *, is_answered: bool | None) -> None:
    assert circuit.lets_through(now, ANY)
    circuit.end(circuit.begin(now), is_answered=is_answered, now=now, jitter=0.0)


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ("-" * 9, CircuitState.CLOSED),
        ("-" * 10, CircuitState.OPEN),
        ("-" * 9 + "?" + "-", CircuitState.OPEN),
        ("-" * 9 + "+" + "-" * 8, CircuitState.CLOSED),
        ("+-" * 9 + "+", CircuitState.CLOSED),
        ("+-" * 10, CircuitState.OPEN),
        ("++-" * 100, CircuitState.CLOSED),
        ("?" * 100, CircuitState.CLOSED),
    ],
)
def test_ten_failures_in_a_row_open_it_or_half_of_twenty(ends: str, state: CircuitState) -> None:
    assert taking(Circuit(TERMS), ends).state is state


def test_what_ended_more_than_a_minute_ago_does_not_count() -> None:
    circuit = taking(Circuit(TERMS), "+-" * 9, now=0.0)
    assert taking(circuit, "+-", now=WINDOW_SECONDS + 1).state is CircuitState.CLOSED


def test_it_lets_one_through_when_its_probe_is_due_and_nobody_before_or_beside() -> None:
    circuit = opened()
    assert not circuit.lets_through(FIRST - 0.001, ANY)
    assert circuit.lets_through(FIRST, ANY)
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.lets_through(FIRST + LONGEST, ANY)


def test_who_is_not_let_through_waits_for_the_probe_or_as_long_again_as_it_is_under_way() -> None:
    circuit = opened()
    assert [circuit.wait(at) for at in (10, FIRST, FIRST + 5)] == [timedelta(seconds=20), timedelta(0), timedelta(0)]
    circuit.lets_through(FIRST + 5, ANY)
    assert [circuit.wait(at) for at in (FIRST + 5, FIRST + 9)] == [timedelta(0), timedelta(seconds=4)]
    circuit.end(circuit.begin(FIRST + 9), is_answered=True, now=FIRST + 9, jitter=0.0)
    assert circuit.wait(FIRST + 9) is None


def test_the_wait_for_a_probe_doubles_up_to_five_minutes() -> None:
    circuit, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(circuit.probe_at - now)
        now = circuit.probe_at
        probed(circuit, now, is_answered=False)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_a_probe_that_is_answered_closes_it_and_the_past_is_forgotten() -> None:
    circuit = opened()
    probed(circuit, FIRST, is_answered=False)
    probed(circuit, FIRST * 3, is_answered=True)
    assert circuit.state is CircuitState.CLOSED
    assert taking(circuit, "-" * 9, FIRST * 3).state is CircuitState.CLOSED
    assert taking(circuit, "-", FIRST * 3).probe_at == FIRST * 4


def test_a_probe_that_says_nothing_leaves_its_place_to_the_next() -> None:
    circuit = opened()
    probed(circuit, FIRST, is_answered=None)
    assert circuit.state is CircuitState.OPEN
    assert circuit.lets_through(FIRST, ANY)


def troubled(circuit: Circuit, now: float, schedule_id: UUID) -> None:
    assert circuit.lets_through(now, schedule_id)
    circuit.end(circuit.begin(now), is_answered=False, now=now, jitter=0.0, has_status=True)


def test_a_probe_that_is_answered_with_trouble_may_be_contradicted_by_another_schedule_at_once() -> None:
    circuit = opened()
    troubled(circuit, FIRST, ANY)
    assert not circuit.lets_through(FIRST, ANY)
    assert circuit.lets_through(FIRST, OTHER)
    assert not circuit.lets_through(FIRST, THIRD)
    circuit.end(circuit.begin(FIRST), is_answered=True, now=FIRST, jitter=0.0)
    assert circuit.state is CircuitState.CLOSED


def test_after_three_schedules_it_is_left_alone_for_one_wait_more_and_then_all_may_probe_again() -> None:
    circuit = opened()
    for schedule_id in (ANY, OTHER, THIRD):
        troubled(circuit, FIRST, schedule_id)
    assert not circuit.lets_through(FIRST * 3 - 0.001, FOURTH)
    assert circuit.probe_at == FIRST * 3
    for schedule_id in (ANY, OTHER, THIRD):
        troubled(circuit, FIRST * 3, schedule_id)
    assert circuit.probe_at == FIRST * 7
    assert not circuit.lets_through(FIRST * 7 - 0.001, FOURTH)


def test_a_probe_that_is_not_answered_at_all_speaks_for_every_schedule() -> None:
    circuit = opened()
    troubled(circuit, FIRST, ANY)
    assert circuit.lets_through(FIRST, OTHER)
    circuit.end(circuit.begin(FIRST), is_answered=False, now=FIRST, jitter=0.0)
    assert not circuit.lets_through(FIRST * 3 - 0.001, THIRD)
    assert circuit.probe_at == FIRST * 3


def test_one_that_would_contradict_and_is_let_go_of_leaves_its_place_to_the_next() -> None:
    circuit = opened()
    troubled(circuit, FIRST, ANY)
    assert circuit.lets_through(FIRST, OTHER)
    circuit.end(circuit.begin(FIRST), is_answered=None, now=FIRST, jitter=0.0)
    assert not circuit.lets_through(FIRST, ANY)
    troubled(circuit, FIRST, THIRD)
    assert circuit.probe_at == FIRST * 3


@pytest.mark.parametrize("is_answered", [True, False, None])
def test_what_was_under_way_when_it_opened_changes_nothing(is_answered: bool | None) -> None:
    circuit = Circuit(TERMS)
    late = circuit.begin(0.0)
    taking(circuit, "-" * 10)
    circuit.end(late, is_answered=is_answered, now=1.0, jitter=0.0)
    assert (circuit.state, circuit.probe_at) == (CircuitState.OPEN, FIRST)
    assert circuit.lets_through(FIRST, ANY)
    circuit.end(late, is_answered=is_answered, now=FIRST, jitter=0.0)
    assert circuit.state is CircuitState.HALF_OPEN


def test_it_is_forgotten_once_nothing_it_counted_matters() -> None:
    assert not taking(Circuit(TERMS), "-", now=5.0).is_idle(5.0 + WINDOW_SECONDS)
    assert taking(Circuit(TERMS), "-", now=5.0).is_idle(6.0 + 2 * WINDOW_SECONDS)
    circuit = opened()
    hour = UNASKED_AFTER.total_seconds()
    assert not circuit.is_idle(FIRST + hour)
    assert circuit.is_idle(FIRST + hour + 1)
    circuit.lets_through(FIRST + hour, ANY)
    assert not circuit.is_idle(FIRST + 2 * hour)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Delivered(200), True),
        (Accepted(202, timedelta(minutes=1)), True),
        (Refused("410 Gone", 410, disable=True), True),
        (Refused("10.0.0.1 is not a public address"), None),
        (Unreachable("the dispatcher is short of sockets", counts=False), None),
        (Unreachable("connection refused"), False),
        (Unreachable("no answer within 15 s"), False),
        *((Unreachable("answered", status), True) for status in (301, 400, 401, 404, 409, 422)),
        *((Unreachable("answered", status), False) for status in (408, 429, 500, 502, 503, 599)),
    ],
)
def test_any_answer_but_one_of_trouble_says_that_the_receiver_is_there(outcome: Outcome, says: bool | None) -> None:
    assert answered(outcome) is says


def should_open(ends: Sequence[tuple[int, bool]], terms: CircuitTerms) -> bool:
    """Judge a closed circuit's outcomes (second, whether it failed) by the words of the rule."""
    now, last_failed = ends[-1]
    window = [failed for second, failed in ends if now - second < WINDOW_SECONDS]
    in_a_row = [failed for _, failed in ends[-terms.failures_in_a_row :]]
    is_run = len(in_a_row) == terms.failures_in_a_row and all(in_a_row)
    return last_failed and (
        is_run or (len(window) >= terms.judged_from and sum(window) / len(window) >= terms.failed_share)
    )


@given(
    ends=st.lists(st.tuples(st.integers(0, 7), st.floats(0, 1)), max_size=150),
    failing=st.floats(0, 1),
)
def test_it_opens_exactly_when_the_rule_says_so(ends: list[tuple[int, float]], failing: float) -> None:
    circuit, seen, now = Circuit(TERMS), [], 0
    for pause, chance in ends:
        now += pause
        failed = chance < failing
        seen.append((now, failed))
        circuit.end(circuit.begin(now), is_answered=not failed, now=now, jitter=0.0)
        assert (circuit.state is CircuitState.OPEN) is should_open(seen, TERMS)
        if circuit.state is CircuitState.OPEN:
            return


@given(st.data())
def test_while_it_is_not_closed_one_request_at_most_is_under_way_and_those_of_a_schedule_keep_their_distance(
    data: st.DataObject,
) -> None:
    circuit, now = opened(), 0.0
    late = [0] * 3  # of the stretch before it opened
    probe: int | None = None
    last_failed_at, wait = 0.0, FIRST
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.floats(0, 400))
        match data.draw(st.sampled_from(["come", "end", "late"])):
            case "come" if circuit.lets_through(now, ANY):
                assert probe is None
                assert now - last_failed_at >= wait - ROUNDING
                probe = circuit.begin(now)
            case "end" if probe is not None:
                is_answered = data.draw(st.sampled_from([False, None, True]))
                jitter = data.draw(st.floats(0, 1, exclude_max=True))
                has_status = data.draw(st.booleans())
                circuit.end(probe, is_answered=is_answered, now=now, jitter=jitter, has_status=has_status)
                if is_answered:
                    assert circuit.state is CircuitState.CLOSED
                    return
                if is_answered is False:
                    last_failed_at, wait = now, min(wait * 2, LONGEST)
                    assert -ROUNDING <= circuit.probe_at - now - wait <= wait * PROBE_JITTER + ROUNDING
                probe = None
            case "late" if late:
                circuit.end(late.pop(), is_answered=data.draw(st.booleans()), now=now, jitter=0.0)
            case _:
                pass
        assert circuit.state is (CircuitState.OPEN if probe is None else CircuitState.HALF_OPEN)
    # Nobody who goes away takes the probe along.
    if probe is not None:
        circuit.end(probe, is_answered=None, now=now, jitter=0.0)
    assert circuit.lets_through(max(now, circuit.probe_at), ANY)
