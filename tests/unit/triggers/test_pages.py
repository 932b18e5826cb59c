"""Pages, windows and checkpoints: relations that hold for every rule, whatever it means."""

from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scheduler_domain.domain.triggers import Cron, Rrule, Rule, TriggerError, compile_rule
from tests.unit.triggers.conftest import Spec, instant, make_spec
from tests.unit.triggers.generator import Case, any_case, repeatable

relations = settings(
    max_examples=300, derandomize=True, deadline=None, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
numbers = st.integers(0, 2**48)


def rule_of(number: int) -> tuple[Rule, Case] | None:
    case = any_case(repeatable(number))
    try:
        return compile_rule(case.spec), case
    except TriggerError:
        return None


@relations
@given(numbers, st.integers(0, 12), st.integers(1, 12))
def test_asking_for_n_and_then_for_m_is_asking_for_both(number: int, first: int, second: int) -> None:
    if (made := rule_of(number)) is None:
        return
    rule, case = made
    whole = rule.page(case.after, first + second).instants
    head = rule.page(case.after, first)
    tail = rule.page(head.instants[-1].at if head.instants else case.after, second, checkpoint=head.checkpoint)
    assert whole == head.instants + tail.instants[: len(whole) - len(head.instants)]


@relations
@given(numbers, st.integers(0, 30 * 86_400_000_000))
def test_a_later_start_never_changes_later_instants(number: int, microseconds: int) -> None:
    if (made := rule_of(number)) is None:
        return
    rule, case = made
    later = case.after + timedelta(microseconds=microseconds)
    from_earlier = [item for item in rule.page(case.after, 500).instants if item.at > later]
    assert rule.page(later, 500).instants[: len(from_earlier)] == from_earlier


@relations
@given(numbers, st.integers(0, 20 * 86_400), st.integers(0, 20 * 86_400))
def test_a_window_only_cuts(number: int, first: int, length: int) -> None:
    if (made := rule_of(number)) is None:
        return
    rule, case = made
    start = case.after + timedelta(seconds=first)
    end = start + timedelta(seconds=length)
    spec = case.spec
    cut = compile_rule(make_spec(spec.trigger, spec.tz, gap=spec.dst.gap, fold=spec.dst.fold, exclude=spec.exclude,
                                 start_at=start, end_at=end))  # fmt: skip
    free = [at for at in rule.instants(start - timedelta(microseconds=1), 200) if at <= end]
    assert cut.instants(case.after, 200) == free
    assert [item.at for item in cut.page(case.after, 200).instants] == free


@relations
@given(numbers)
def test_instants_ascend_and_no_two_share_a_name(number: int) -> None:
    if (made := rule_of(number)) is None:
        return
    rule, case = made
    page = rule.page(case.after, 200)
    assert [item.at for item in page.instants] == sorted({item.at for item in page.instants})
    assert len({item.nominal for item in page.instants}) == len(page.instants)
    assert [item.at for item in page.instants] == rule.instants(case.after, 200)


def test_a_page_says_whether_anything_is_left(spec: Spec) -> None:
    rule = compile_rule(spec(Rrule("FREQ=DAILY;COUNT=3", "2026-01-05T09:00:00")))
    before = instant("2026-01-05T00:00:00")
    assert [rule.page(before, limit).finished for limit in (0, 2, 3, 4)] == [False, False, True, True]
    until = instant("2026-01-06T09:00:00")
    page = rule.page(before, 10, until=until)
    assert ([item.at.day for item in page.instants], page.finished) == ([5, 6], False)
    assert rule.page(until, 10, until=instant("2026-01-07T09:00:00")).finished


def test_the_end_of_the_window_finishes_a_rule(spec: Spec) -> None:
    rule = compile_rule(spec(Cron("0 9 * * *"), end_at=instant("2026-01-06T09:00:00")))
    assert rule.page(instant("2026-01-04T12:00:00"), 2).finished
    assert not rule.page(instant("2026-01-03T12:00:00"), 2).finished


def test_a_checkpoint_saves_counting_and_only_for_the_same_rule(spec: Spec) -> None:
    made = spec(Rrule("FREQ=DAILY;COUNT=10;BYHOUR=9", "2026-01-05T09:00:00"))
    checkpoint = compile_rule(made).page(instant("2026-01-05T00:00:00"), 1).checkpoint
    assert checkpoint is not None
    resumed = compile_rule(made).page(instant("2026-01-13T12:00:00"), 5, checkpoint=checkpoint)
    assert [item.at.day for item in resumed.instants] == [14]
    other = spec(Rrule("FREQ=DAILY;COUNT=12;BYHOUR=9", "2026-01-05T09:00:00"))
    found = compile_rule(other).page(instant("2026-01-13T12:00:00"), 5, checkpoint=checkpoint).instants
    assert [item.at.day for item in found] == [14, 15, 16]


def test_rules_without_a_count_need_no_checkpoint(spec: Spec) -> None:
    assert compile_rule(spec(Cron("0 9 * * *"))).page(instant("2026-01-05T00:00:00"), 1).checkpoint is None
